import { EtcdConnection } from '../../../services/etcd/connection.js';

/** Revokes the lease of a bucket as soon as the next one exists, while bindings still use it. */
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
