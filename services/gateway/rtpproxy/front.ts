import { controlUrlOf, type Reading } from '../../control/protocol.js';
import { baseVersion, capabilities, capabilityFeature } from '../../control/rtpproxy/capabilities.js';
import { rtpproxy } from '../../control/rtpproxy/protocol.js';
import type { RtpproxyRequest } from '../../control/rtpproxy/request.js';
import { UdpServer, type UdpServerCounters, type UdpSource } from '../../control/udp/server.js';
import { defaultSet } from '../../domain/name.js';
import type { RegisteredRelay } from '../../domain/relay.js';
import type { Address } from '../../runtime/address.js';
import { relayBudgetMs } from '../call-handler.js';
import { type CallScope, callOf } from '../call-request.js';
import type { Front, FrontDeps, FrontOptions } from '../front.js';
import { observe } from '../observe.js';
import { Aggregate } from './aggregate.js';
import { type NotificationOptions, Notifications } from './notifications.js';
import type { SessionMemory } from './session-memory.js';

/** Timeouts are told. */
const notification = '20081224';

export interface RtpproxyFrontDeps extends FrontDeps {
  readonly memory: SessionMemory;
}

export interface RtpproxyFrontOptions extends FrontOptions {
  /** How timeouts are told to SIP proxies; undefined if they are not: what a `U` says of them goes to the relay as it is. */
  readonly notification: NotificationOptions | undefined;
}

/** One rtpproxy to SIP proxies. */
export class RtpproxyFront implements Front {
  readonly #deps: RtpproxyFrontDeps;
  readonly #server: UdpServer<RtpproxyRequest>;
  readonly #aggregate: Aggregate;
  readonly #notifications: Notifications | undefined;
  #branchesLeft = 0;

  constructor(deps: RtpproxyFrontDeps, { listeners, passed, notification }: RtpproxyFrontOptions) {
    const { admission, clients, clock, log } = deps;
    const accept = (source: string) => admission.accepts(source);
    this.#deps = deps;
    this.#notifications = notification && new Notifications({ ...deps, accept }, notification);
    this.#aggregate = new Aggregate(clients, clock);
    this.#server = new UdpServer({
      listen: listeners.map(({ address }) => address),
      passed,
      accept,
      service: {
        protocol: 'rtpproxy',
        read: (body) => rtpproxy.read(body),
        handle: (request, { address, port, listener }: UdpSource) =>
          observe(request, { host: address, port }, deps, () =>
            this.#handle(request, address, listeners[listener]?.scope ?? { set: undefined }),
          ),
        refuse: (request) => request.error(),
      },
      clock,
      log,
    });
  }

  get addresses(): readonly Address[] {
    return this.#server.addresses();
  }

  /** `branchesLeft`: deletes of one branch of a forked call, kept from its relay. */
  get counters(): Readonly<UdpServerCounters & Record<'branchesLeft', number>> {
    const notices = this.#notifications?.counters;
    return { ...this.#server.counters, branchesLeft: this.#branchesLeft, ...notices };
  }

  async start(): Promise<void> {
    // Whoever is served may name it at once.
    await this.#notifications?.start();
    await this.#server.start();
  }

  async stop(): Promise<void> {
    await this.#server.stop();
    await this.#notifications?.stop();
  }

  async #handle(received: RtpproxyRequest, source: string, scope: CallScope): Promise<Buffer> {
    const reading = this.#redirect(received, source, scope);
    if (reading.kind !== 'request') {
      return reading.kind === 'refused' ? reading.reply : received.error();
    }
    const { request } = reading;
    if (request.act === 'ping' && request.words.length === 0) {
      return Buffer.from(`${baseVersion}\n`);
    }
    return request.act === 'ping' || request.act === 'list'
      ? this.#answer(request, scope.set ?? defaultSet)
      : this.#serve(request, scope);
  }

  /** What is about the relays of a set, and no call. */
  async #answer(request: RtpproxyRequest, set: string): Promise<Buffer> {
    const { readiness, directory, clock } = this.#deps;
    const reason = await readiness.wait(clock.monotonicMs() + relayBudgetMs);
    if (reason !== undefined) {
      return request.error();
    }
    const relays = directory
      .list(set)
      .filter(({ relay }) => controlUrlOf(relay, rtpproxy.name) !== undefined);
    if (request.act === 'list') {
      return this.#aggregate.answer(request, set, relays);
    }
    const [day = ''] = request.words;
    const isTold = day !== notification || this.#notifications !== undefined;
    return Buffer.from(isTold && isShared(day, relays) ? '1\n' : '0\n');
  }

  #redirect(request: RtpproxyRequest, source: string, scope: CallScope): Reading<RtpproxyRequest> {
    const { notify, callId } = request;
    // A socket without a tag would be told nothing, and a relay would take the party's tag for it.
    if (notify.length === 1) {
      return request.notifying([]);
    }
    if (notify.length > 0 && this.#notifications) {
      return this.#notifications.redirect(request, source);
    }
    return callId && request.tellsKeys && this.#notifications
      ? this.#notifications.redirectKeys(request, this.#deps.memory.notifyOf(callOf(callId, scope), request))
      : { kind: 'request', request };
  }

  async #serve(request: RtpproxyRequest, scope: CallScope): Promise<Buffer> {
    const { calls, deletes, memory } = this.#deps;
    const { callId } = request;
    const call = callId && callOf(callId, scope);
    const instead = call && request.act === 'delete' ? memory.leaves(call, request) : undefined;
    if (call && instead) {
      this.#branchesLeft++;
      deletes.leave(call, request);
      await Promise.all(instead.map((each) => calls.handle(each, scope)));
      return request.ok();
    }
    if (call && request.act === 'delete') {
      return calls.handle(memory.endingAll(call, request), scope);
    }
    return calls.handle(call && memory.isAnswer(call, request) ? request.asAnswer() : request, scope);
  }
}

/** Proxies ask once, at their start: what relays will have that are not there yet, they are expected to know. */
function isShared(day: string, relays: readonly RegisteredRelay[]): boolean {
  return relays.length === 0
    ? capabilities.some((each) => each === day)
    : relays.every(({ relay }) => relay.features.includes(capabilityFeature(day)));
}
