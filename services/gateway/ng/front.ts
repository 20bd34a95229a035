import { ng } from '../../control/ng/protocol.js';
import type { NgRequest } from '../../control/ng/request.js';
import { joinDatagram } from '../../control/udp/datagram.js';
import { UdpServer, type UdpServerCounters, type UdpSource } from '../../control/udp/server.js';
import { defaultSet } from '../../domain/name.js';
import type { Address } from '../../runtime/address.js';
import { relayBudgetMs } from '../call-handler.js';
import type { CallScope } from '../call-request.js';
import type { Front, FrontDeps, FrontOptions, MirroredCommand } from '../front.js';
import { observe } from '../observe.js';
import { aggregate } from './aggregate.js';

/** One rtpengine to SIP proxies. */
export class NgFront implements Front {
  readonly #deps: FrontDeps;
  readonly #server: UdpServer<NgRequest>;

  constructor(deps: FrontDeps, { listeners, passed, mirror }: FrontOptions) {
    const { admission, clock, log } = deps;
    this.#deps = deps;
    this.#server = new UdpServer({
      listen: listeners.map(({ address }) => address),
      passed,
      accept: (source) => admission.accepts(source),
      service: {
        protocol: 'ng',
        read: (body) => ng.read(body),
        handle: async (request, source: UdpSource) => {
          const scope = listeners[source.listener]?.scope ?? { set: undefined };
          const mirrored = mirror && this.#mirrored(request, source, mirror);
          const reply = await observe(request, { host: source.address, port: source.port }, deps, () =>
            this.#handle(request, scope),
          );
          mirrored?.(reply);
          return reply;
        },
        refuse: (request, reason) => request.error(reason),
      },
      clock,
      log,
    });
  }

  get addresses(): readonly Address[] {
    return this.#server.addresses();
  }

  get counters(): Readonly<UdpServerCounters & Record<string, number>> {
    return { ...this.#server.counters };
  }

  start(): Promise<void> {
    return this.#server.start();
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }

  /** Mirrors a request. @returns what mirrors its reply */
  #mirrored(
    { callId, body }: NgRequest,
    { address: host, port, listener, cookie }: UdpSource,
    mirror: (command: MirroredCommand) => void,
  ): ((reply: Buffer) => void) | undefined {
    const local = this.#server.addresses()[listener];
    if (!callId || !local) {
      return undefined;
    }
    const remote = { host, port };
    mirror({ callId, from: remote, to: local, datagram: joinDatagram(cookie, body) });
    return (reply) => mirror({ callId, from: local, to: remote, datagram: joinDatagram(cookie, reply) });
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
