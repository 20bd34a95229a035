import type { DeleteRangeRequest, DeleteRangeResponse } from '../../proto/generated/etcd/rpc.js';
import { keyRange } from './key-range.js';
import type { Keyspace, Writer } from './keyspace.js';
import { revisionHeader, toKeyValue } from './wire.js';

export function deleteRange(
  keyspace: Keyspace,
  writer: Writer,
  request: DeleteRangeRequest,
): DeleteRangeResponse {
  const deleted = writer.delete(keyRange(request.key, request.rangeEnd));
  return {
    header: revisionHeader(keyspace.visibleRevision),
    deleted: BigInt(deleted.length),
    prevKvs: request.prevKv ? deleted.map((version) => toKeyValue(version)) : [],
  };
}
