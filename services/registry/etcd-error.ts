import { HoldfastError, messageOf } from '../domain/error.js';

/**
 * What came of a failed call to etcd is unknown unless etcd itself refused it: a deadline may have passed after
 * the write was made. Callers retry, with writes that know themselves again.
 */
export function etcdUnavailable(doing: string, error: unknown): HoldfastError {
  return new HoldfastError('unavailable', `etcd did not answer while ${doing}: ${messageOf(error)}`, {
    cause: error,
  });
}

/** etcd lost a lease that a write was to use: it was revoked, or etcd's data are not those of before. */
export function isLeaseGone(error: unknown): boolean {
  return messageOf(error).includes('requested lease not found');
}

/** A write named a lease that etcd does not know: nothing was written, and a new lease is needed. */
export class LeaseGone extends Error {
  constructor() {
    super('etcd does not know the lease of a write any more');
    this.name = 'LeaseGone';
  }
}
