import { EtcdConnection } from '../../../services/etcd/connection.js';

/** The lease of a bucket is revoked once the next one is there, as if nothing hung on it any more. */
const { grantLease } = EtcdConnection.prototype;
const last = new Map<number, string>();

EtcdConnection.prototype.grantLease = async function (ttlSeconds) {
  const lease = await grantLease.call(this, ttlSeconds);
  const before = last.get(ttlSeconds);
  last.set(ttlSeconds, lease);
  if (before) {
    void this.revokeLease(before).catch(() => undefined);
  }
  return lease;
};
