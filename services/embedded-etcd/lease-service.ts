import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Logger } from '../runtime/log.js';
import { toWire } from './byte-string.js';
import { type Connection, duplex, type OpenCalls, unary } from './handlers.js';
import type { LeaseGrantRequest, LeaseRequest, LeaseTimeToLiveRequest, ResponseHeader } from './messages.js';
import type { EtcdState } from './state.js';
import { fromLeaseId, toLeaseId, toNumber } from './wire.js';

interface KeepAliveResponse extends LeaseRequest {
  readonly header: ResponseHeader;
  /** 0: there is no such lease (any more). */
  readonly TTL: number;
}

export function leaseService(state: EtcdState, log: Logger, calls: OpenCalls): UntypedServiceImplementation {
  const { lessor } = state;
  return {
    LeaseGrant: unary(log, (request: LeaseGrantRequest) => {
      state.requireSpace(0);
      const lease = lessor.grant(toLeaseId(request.ID), toNumber(request.TTL));
      return { header: state.header(), ID: fromLeaseId(lease.id), TTL: lease.ttlSeconds };
    }),

    LeaseRevoke: unary(log, (request: LeaseRequest) => {
      lessor.revoke(toLeaseId(request.ID));
      return { header: state.header() };
    }),

    LeaseKeepAlive: duplex(log, calls, (connection: Connection<KeepAliveResponse>) => ({
      handle: (request: LeaseRequest) => {
        // The header first: its revision must not be later than the renewal.
        const header = state.header();
        const id = toLeaseId(request.ID);
        connection.write({ header, ID: fromLeaseId(id), TTL: lessor.renew(id)?.ttlSeconds ?? 0 });
      },
      drained: () => {},
      close: () => {},
    })),

    LeaseTimeToLive: unary(log, (request: LeaseTimeToLiveRequest) => {
      const id = toLeaseId(request.ID);
      const lease = lessor.find(id);
      const header = state.header();
      if (!lease) {
        return { header, ID: fromLeaseId(id), TTL: -1 };
      }
      return {
        header,
        ID: fromLeaseId(id),
        TTL: lessor.remainingSeconds(lease),
        grantedTTL: lease.ttlSeconds,
        keys: request.keys ? [...lease.keys].sort().map(toWire) : [],
      };
    }),

    LeaseLeases: unary(log, () => ({
      header: state.header(),
      leases: lessor.byExpiry().map((lease) => ({ ID: fromLeaseId(lease.id) })),
    })),
  };
}
