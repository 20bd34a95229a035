import { BindingStore, type Found } from '../../../services/registry/binding-store.js';

/** Always mistakes what is in etcd for the write of another request. */
const { read, write } = BindingStore.prototype;

function ofSomebodyElse<T extends Found>(found: T): T {
  return found.binding ? { ...found, binding: { ...found.binding, requestId: 'somebody-else' } } : found;
}

BindingStore.prototype.read = async function (call) {
  return ofSomebodyElse(await read.call(this, call));
};
BindingStore.prototype.write = async function (request) {
  const outcome = await write.call(this, request);
  return outcome.written ? outcome : { ...outcome, found: ofSomebodyElse(outcome.found) };
};
