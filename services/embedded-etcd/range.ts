import { keyRange } from './key-range.js';
import type { Keyspace } from './keyspace.js';
import type { RangeRequest, RangeResponse } from './messages.js';
import type { Version } from './version.js';
import { toKeyValue, toNumber } from './wire.js';

const ascending = 1;
const descending = 2;

type Order = (a: Version, b: Version) => number;
const byText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
/** Indexed by sort_target. */
const orders: readonly Order[] = [
  (a, b) => byText(a.key, b.key),
  (a, b) => a.version - b.version,
  (a, b) => a.createRevision - b.createRevision,
  (a, b) => a.modRevision - b.modRevision,
  (a, b) => byText(a.value, b.value),
];

/** etcd's Range; inside a transaction it sees what the transaction wrote before it. */
export function range(keyspace: Keyspace, request: RangeRequest): RangeResponse {
  const header = { revision: keyspace.visibleRevision };
  const keys = keyRange(request.key, request.range_end);
  const revision = toNumber(request.revision);
  const limit = Math.max(0, toNumber(request.limit));
  const filter = revisionFilter(request);
  const order = orderOf(request);
  // With neither filter nor order the result is the first keys: the rest is only counted, never collected.
  const collectAtMost =
    request.count_only === true ? 0 : limit > 0 && !filter && !order ? limit : Number.POSITIVE_INFINITY;
  let count = 0;
  let found: Version[] = [];
  keyspace.visit(keys, revision, (version) => {
    count++;
    if (found.length < collectAtMost && (!filter || filter(version))) {
      found.push(version);
    }
  });
  const matching = filter || request.count_only ? found.length : count;
  if (order) {
    found.sort(order);
  }
  if (limit > 0 && found.length > limit) {
    found = found.slice(0, limit);
  }
  const kvs = found.map((version) => toKeyValue(version, !request.keys_only));
  return { header, kvs, more: limit > 0 && matching > limit, count };
}

/** The count is of all keys in the range; these bounds only thin out what is returned, as in etcd. */
function revisionFilter(request: RangeRequest): ((version: Version) => boolean) | undefined {
  const minMod = toNumber(request.min_mod_revision);
  const maxMod = toNumber(request.max_mod_revision);
  const minCreate = toNumber(request.min_create_revision);
  const maxCreate = toNumber(request.max_create_revision);
  if (minMod === 0 && maxMod === 0 && minCreate === 0 && maxCreate === 0) {
    return undefined;
  }
  return (version) =>
    (maxMod === 0 || version.modRevision <= maxMod) &&
    (minMod === 0 || version.modRevision >= minMod) &&
    (maxCreate === 0 || version.createRevision <= maxCreate) &&
    (minCreate === 0 || version.createRevision >= minCreate);
}

function orderOf(request: RangeRequest): Order | undefined {
  const target = orders[request.sort_target ?? 0];
  const sortOrder = request.sort_order ?? 0;
  if (!target) {
    return undefined;
  }
  if (sortOrder === descending) {
    return (a, b) => target(b, a);
  }
  // Keys are in ascending order already. A target without an order means ascending.
  return request.sort_target || sortOrder > ascending ? target : undefined;
}
