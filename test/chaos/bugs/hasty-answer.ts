import { HoldfastError } from '../../../services/domain/error.js';
import { BindingStore } from '../../../services/registry/binding-store.js';

/** Answers a write with an unknown outcome as done. */
const { write } = BindingStore.prototype;

BindingStore.prototype.write = async function (request) {
  try {
    return await write.call(this, request);
  } catch (error) {
    if (!(error instanceof HoldfastError)) {
      throw error;
    }
    return { written: true, stored: { binding: request.binding, revision: request.expected } };
  }
};
