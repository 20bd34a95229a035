import type { Address } from '../runtime/address.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import type { FrontMetrics } from '../selection/front-metrics.js';
import type { Admission } from './admission.js';
import type { CallHandler } from './call-handler.js';
import type { DeleteHandler } from './delete.js';
import type { CallRouter, RelayList } from './deps.js';
import type { GatewayListener } from './listener.js';
import type { Readiness } from './readiness.js';
import type { RelayAccess } from './relay-clients.js';

/** Where SIP proxies reach a gateway: reads their requests, and answers what is about no call. */
export interface Front {
  /** With the real ports. */
  readonly addresses: readonly Address[];
  /** Since the start, for metrics. */
  readonly counters: Readonly<Record<string, number>>;
  /** @throws Error naming the address that cannot be listened on */
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** A command about a call, or the reply to it, as it went over the wire. */
export interface MirroredCommand {
  readonly callId: Buffer;
  readonly from: Address;
  readonly to: Address;
  readonly datagram: Buffer;
}

export interface FrontOptions {
  readonly listeners: readonly GatewayListener[];
  /** Descriptors of sockets that are open already, for the first of these. */
  readonly passed: readonly number[];
  /** Hears of each command about a call, once, and of its reply. Throws nothing, and waits for nothing. */
  readonly mirror?: ((command: MirroredCommand) => void) | undefined;
}

export interface FrontDeps {
  readonly router: CallRouter;
  readonly calls: CallHandler;
  readonly deletes: DeleteHandler;
  readonly clients: RelayAccess;
  readonly directory: RelayList;
  readonly admission: Admission;
  readonly readiness: Readiness;
  readonly metrics: FrontMetrics;
  readonly clock: Clock;
  readonly log: Logger;
}
