import { rewriteWrites } from './transactions.js';

/** Deletes the binding when a call is released. */
rewriteWrites({
  operation: (operation) => {
    const { key, value } = operation.request_put ?? {};
    const releases = key !== undefined && value?.toString().includes('"state":"released"');
    return releases ? { request_delete_range: { key } } : operation;
  },
});
