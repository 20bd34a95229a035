import { controlUrlOf } from '../../control/protocol.js';
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
import type { SessionMemory } from './session-memory.js';

/** A relay tells timeouts to whoever controls it, which is the gateway; they are not told on. */
const notification = '20081224';

export interface RtpproxyFrontDeps extends FrontDeps {
  readonly memory: SessionMemory;
}

/** One rtpproxy to SIP proxies. */
export class RtpproxyFront implements Front {
  readonly #deps: RtpproxyFrontDeps;
  readonly #server: UdpServer<RtpproxyRequest>;
  readonly #aggregate: Aggregate;
  #branchesLeft = 0;

  constructor(deps: RtpproxyFrontDeps, { listeners, passed }: FrontOptions) {
    const { admission, clients, clock, log } = deps;
    this.#deps = deps;
    this.#aggregate = new Aggregate(clients, clock);
    this.#server = new UdpServer({
      listen: listeners.map(({ address }) => address),
      passed,
      accept: (source) => admission.accepts(source),
      service: {
        protocol: 'rtpproxy',
        read: (body) => rtpproxy.read(body),
        handle: (request, { listener }: UdpSource) =>
          observe(request, deps, () =>
            this.#handle(request, listeners[listener]?.scope ?? { set: undefined }),
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
    return { ...this.#server.counters, branchesLeft: this.#branchesLeft };
  }

  start(): Promise<void> {
    return this.#server.start();
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }

  async #handle(request: RtpproxyRequest, scope: CallScope): Promise<Buffer> {
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
    return Buffer.from(isShared(request.words[0] ?? '', relays) ? '1\n' : '0\n');
  }

  async #serve(request: RtpproxyRequest, scope: CallScope): Promise<Buffer> {
    const { calls, deletes, memory } = this.#deps;
    const { callId } = request;
    const call = callId && callOf(callId, scope);
    if (call && request.act === 'delete' && memory.leaves(call, request)) {
      this.#branchesLeft++;
      deletes.leave(call, request);
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
  if (day === notification) {
    return false;
  }
  return relays.length === 0
    ? capabilities.some((each) => each === day)
    : relays.every(({ relay }) => relay.features.includes(capabilityFeature(day)));
}
