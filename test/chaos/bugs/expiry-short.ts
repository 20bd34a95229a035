import { LeaseBuckets } from '../../../services/registry/lease-buckets.js';

/** A bucket is granted for its keys' lifetime, and not for the time in which it takes keys besides. */
const { take } = LeaseBuckets.prototype;

LeaseBuckets.prototype.take = function (lifetimeSeconds) {
  return take.call(this, lifetimeSeconds * 0.6);
};
