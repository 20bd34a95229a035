import type { Compare, Range } from './txn-codec.js';

/** What transactions ask of keys before they write. */

/** Of a key that does not exist, etcd takes the mod revision to be 0; of a range, each key must have that revision. */
export function modRevisionIs({ key, range_end, revision }: Range & { readonly revision: number }): Compare {
  return { result: 'Equal', target: 'Mod', key, mod_revision: revision, ...(range_end ? { range_end } : {}) };
}

/**
 * The key is as it was seen, by its lease as well where that is known: an etcd that was wiped counts its revisions anew. What is
 * not there, revision 0, is on no lease.
 */
export function isAsSeen(key: Buffer, revision: number, lease: string | undefined): Compare[] {
  const compare = modRevisionIs({ key, revision });
  const isLeased = lease !== undefined && revision !== 0;
  return isLeased ? [compare, { result: 'Equal', target: 'Lease', key, lease }] : [compare];
}
