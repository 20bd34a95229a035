import { keyRange } from './key-range.js';
import type { Keyspace, Writer } from './keyspace.js';
import type { DeleteRangeRequest, DeleteRangeResponse } from './messages.js';
import { toKeyValue } from './wire.js';

export function deleteRange(
  keyspace: Keyspace,
  writer: Writer,
  request: DeleteRangeRequest,
): DeleteRangeResponse {
  const deleted = writer.delete(keyRange(request.key, request.range_end));
  return {
    header: { revision: keyspace.visibleRevision },
    deleted: deleted.length,
    prev_kvs: request.prev_kv ? deleted.map((version) => toKeyValue(version)) : [],
  };
}
