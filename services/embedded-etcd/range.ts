import {
  type RangeRequest,
  RangeRequest_SortOrder,
  RangeRequest_SortTarget,
  type RangeResponse,
} from '../../proto/generated/etcd/rpc.js';
import { keyRange } from './key-range.js';
import type { Keyspace } from './keyspace.js';
import type { Version } from './version.js';
import { revisionHeader, toKeyValue } from './wire.js';

type Order = (a: Version, b: Version) => number;
const byText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
const orders: Readonly<Record<number, Order>> = {
  [RangeRequest_SortTarget.KEY]: (a, b) => byText(a.key, b.key),
  [RangeRequest_SortTarget.VERSION]: (a, b) => a.version - b.version,
  [RangeRequest_SortTarget.CREATE]: (a, b) => a.createRevision - b.createRevision,
  [RangeRequest_SortTarget.MOD]: (a, b) => a.modRevision - b.modRevision,
  [RangeRequest_SortTarget.VALUE]: (a, b) => byText(a.value, b.value),
};

/** etcd's Range; inside a transaction it sees what the transaction wrote before it. */
export function range(keyspace: Keyspace, request: RangeRequest): RangeResponse {
  const header = revisionHeader(keyspace.visibleRevision);
  const keys = keyRange(request.key, request.rangeEnd);
  const limit = Math.max(0, Number(request.limit));
  const filter = revisionFilter(request);
  const order = orderOf(request);
  // With neither filter nor order the result is the first keys: the rest is only counted, never collected.
  const collectAtMost = request.countOnly ? 0 : limit > 0 && !filter && !order ? limit : Infinity;
  let count = 0;
  let found: Version[] = [];
  keyspace.visit(keys, Number(request.revision), (version) => {
    count++;
    if (found.length < collectAtMost && (!filter || filter(version))) {
      found.push(version);
    }
  });
  const matching = filter || request.countOnly ? found.length : count;
  if (order) {
    found.sort(order);
  }
  if (limit > 0 && found.length > limit) {
    found = found.slice(0, limit);
  }
  const kvs = found.map((version) => toKeyValue(version, !request.keysOnly));
  return { header, kvs, more: limit > 0 && matching > limit, count: BigInt(count) };
}

/** The count is of all keys in the range; these bounds only thin out what is returned, as in etcd. */
function revisionFilter(request: RangeRequest): ((version: Version) => boolean) | undefined {
  const minMod = Number(request.minModRevision);
  const maxMod = Number(request.maxModRevision);
  const minCreate = Number(request.minCreateRevision);
  const maxCreate = Number(request.maxCreateRevision);
  if (minMod === 0 && maxMod === 0 && minCreate === 0 && maxCreate === 0) {
    return undefined;
  }
  return (version) =>
    (maxMod === 0 || version.modRevision <= maxMod) &&
    (minMod === 0 || version.modRevision >= minMod) &&
    (maxCreate === 0 || version.createRevision <= maxCreate) &&
    (minCreate === 0 || version.createRevision >= minCreate);
}

function orderOf({ sortTarget, sortOrder }: RangeRequest): Order | undefined {
  const target = orders[sortTarget];
  if (!target) {
    return undefined;
  }
  if (sortOrder === RangeRequest_SortOrder.DESCEND) {
    return (a, b) => target(b, a);
  }
  // Keys are in ascending order already. A target without an order, or with an unknown one, means ascending.
  const isKeyOrder = sortTarget === RangeRequest_SortTarget.KEY && sortOrder <= RangeRequest_SortOrder.ASCEND;
  return isKeyOrder ? undefined : target;
}
