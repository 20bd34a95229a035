import { LeasePool } from '../../../services/etcd/lease-pool.js';

/** A bucket is granted for its keys' lifetime, and not for the time in which it takes keys besides. */
const { take } = LeasePool.prototype;

LeasePool.prototype.take = function (lifetimeSeconds) {
  return take.call(this, lifetimeSeconds * 0.6);
};
