import { rewriteWrites } from './transactions.js';

/** A release removes the binding at once. */
rewriteWrites({
  operation: (operation) => {
    const { key, value } = operation.request_put ?? {};
    const releases = key !== undefined && value?.toString().includes('"released":true');
    return releases ? { request_delete_range: { key } } : operation;
  },
});
