import { BindingWriter } from '../../../services/selection/binding-writer.js';

/** Writes what etcd has lost again as the first generation. */
const { reassert } = BindingWriter.prototype;

BindingWriter.prototype.reassert = function (stored, found, relay) {
  return reassert.call(this, { ...stored, binding: { ...stored.binding, generation: 1 } }, found, relay);
};
