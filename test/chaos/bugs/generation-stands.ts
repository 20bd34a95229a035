import { BindingStore } from '../../../services/registry/binding-store.js';

/** Keeps the generation of a call that is moved. */
const { write } = BindingStore.prototype;

BindingStore.prototype.write = function (request) {
  const { binding, guards, expected } = request;
  const isMove = guards.length > 0 && expected > 0;
  const generation = isMove ? binding.generation - 1 : binding.generation;
  return write.call(this, { ...request, binding: { ...binding, generation: Math.max(1, generation) } });
};
