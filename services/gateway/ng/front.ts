import { ng } from '../../control/ng/protocol.js';
import type { NgRequest } from '../../control/ng/request.js';
import { UdpServer, type UdpServerCounters, type UdpSource } from '../../control/udp/server.js';
import { defaultSet } from '../../domain/name.js';
import type { Address } from '../../runtime/address.js';
import type { Clock } from '../../runtime/clock.js';
import type { Logger } from '../../runtime/log.js';
import type { Admission } from '../admission.js';
import { type CallHandler, relayBudgetMs } from '../call-handler.js';
import type { CallScope } from '../call-request.js';
import type { RelayList } from '../deps.js';
import type { GatewayListener } from '../listener.js';
import type { Readiness } from '../readiness.js';
import type { RelayAccess } from '../relay-clients.js';
import { aggregate } from './aggregate.js';

export interface NgFrontOptions {
  readonly listeners: readonly GatewayListener[];
  /** Descriptors of sockets that are open already, for the first of these. */
  readonly passed: readonly number[];
}

export interface NgFrontDeps {
  readonly calls: CallHandler;
  readonly clients: RelayAccess;
  readonly directory: RelayList;
  readonly admission: Admission;
  readonly readiness: Readiness;
  readonly clock: Clock;
  readonly log: Logger;
}

/** One rtpengine to SIP proxies. */
export class NgFront {
  readonly #deps: NgFrontDeps;
  readonly #server: UdpServer<NgRequest>;

  constructor(deps: NgFrontDeps, { listeners, passed }: NgFrontOptions) {
    const { admission, clock, log } = deps;
    this.#deps = deps;
    this.#server = new UdpServer({
      listen: listeners.map(({ address }) => address),
      passed,
      accept: (source) => admission.accepts(source),
      service: {
        protocol: 'ng',
        read: (body) => ng.read(body),
        handle: (request, { listener }: UdpSource) =>
          this.#handle(request, listeners[listener]?.scope ?? { set: undefined }),
        refuse: (request, reason) => request.error(reason),
      },
      clock,
      log,
    });
  }

  /** With the real ports. */
  get addresses(): readonly Address[] {
    return this.#server.addresses();
  }

  get counters(): Readonly<UdpServerCounters> {
    return this.#server.counters;
  }

  /** @throws Error naming the address that cannot be listened on */
  start(): Promise<void> {
    return this.#server.start();
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }

  async #handle(request: NgRequest, scope: CallScope): Promise<Buffer> {
    const { calls, clients, directory, readiness, clock } = this.#deps;
    if (request.act !== 'ping' && request.act !== 'list') {
      return calls.handle(request, scope);
    }
    const reason = await readiness.wait(clock.monotonicMs() + relayBudgetMs);
    if (reason !== undefined) {
      return request.error(reason);
    }
    return request.act === 'ping'
      ? request.reply({ result: 'pong' })
      : request.reply(await aggregate(request, directory.list(scope.set ?? defaultSet), clients));
  }
}
