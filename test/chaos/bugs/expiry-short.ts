import { LeasePool } from '../../../services/etcd/lease-pool.js';

/** Grants a bucket for the TTL of its keys, without the time in which it accepts keys. */
const { take } = LeasePool.prototype;

LeasePool.prototype.take = function (lifetimeSeconds) {
  return take.call(this, lifetimeSeconds * 0.6);
};
