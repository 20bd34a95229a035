import type {
  LeaseGrantRequest,
  LeaseKeepAliveRequest,
  LeaseKeepAliveResponse,
  LeaseRevokeRequest,
  LeaseServer,
  LeaseTimeToLiveRequest,
} from '../../proto/generated/etcd/rpc.js';
import type { Logger } from '../runtime/log.js';
import { toWire } from './byte-string.js';
import { type Connection, duplex, type OpenCalls, unary } from './handlers.js';
import type { EtcdState } from './state.js';

export function leaseService(state: EtcdState, log: Logger, calls: OpenCalls): LeaseServer {
  const { lessor } = state;
  return {
    leaseGrant: unary(log, (request: LeaseGrantRequest) => {
      state.requireSpace(0);
      const { id, ttlSeconds } = lessor.grant(request.id, Number(request.ttl));
      return { header: state.header(), id, ttl: BigInt(ttlSeconds) };
    }),

    leaseRevoke: unary(log, ({ id }: LeaseRevokeRequest) => {
      lessor.revoke(id);
      return { header: state.header() };
    }),

    leaseKeepAlive: duplex(log, calls, (connection: Connection<LeaseKeepAliveResponse>) => ({
      handle: ({ id }: LeaseKeepAliveRequest) => {
        // The header first: its revision must not be later than the renewal.
        const header = state.header();
        connection.write({ header, id, ttl: BigInt(lessor.renew(id)?.ttlSeconds ?? 0) });
      },
      drained: () => {},
      close: () => {},
    })),

    leaseTimeToLive: unary(log, ({ id, keys }: LeaseTimeToLiveRequest) => {
      const lease = lessor.find(id);
      const header = state.header();
      if (!lease) {
        return { header, id, ttl: -1n, grantedTtl: 0n, keys: [] };
      }
      return {
        header,
        id,
        ttl: BigInt(lessor.remainingSeconds(lease)),
        grantedTtl: BigInt(lease.ttlSeconds),
        keys: keys ? [...lease.keys].sort().map(toWire) : [],
      };
    }),

    leaseLeases: unary(log, () => ({
      header: state.header(),
      leases: lessor.byExpiry().map(({ id }) => ({ id })),
    })),
  };
}
