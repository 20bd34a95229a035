import type { ExecutionContext } from 'ava';
import { encodeBody, type NgDictionary, parseMessage } from '../../../services/control/ng/message.js';
import { ng } from '../../../services/control/ng/protocol.js';
import type { ControlRequest } from '../../../services/control/protocol.js';
import { type Binding, type BindingVersion, isVersionOf } from '../../../services/domain/binding.js';
import type { Call } from '../../../services/domain/call.js';
import { HoldfastError } from '../../../services/domain/error.js';
import type { RegisteredRelay, Relay } from '../../../services/domain/relay.js';
import { CallHandler } from '../../../services/gateway/call-handler.js';
import { noMemory } from '../../../services/gateway/call-memory.js';
import { type CallScope, callOf } from '../../../services/gateway/call-request.js';
import { DeleteHandler } from '../../../services/gateway/delete.js';
import type { CallRouter, RelayList } from '../../../services/gateway/deps.js';
import { FormerRelays } from '../../../services/gateway/former-relays.js';
import { InDialogHandler } from '../../../services/gateway/in-dialog.js';
import { OfferHandler } from '../../../services/gateway/offer.js';
import { OrphanedSessions } from '../../../services/gateway/orphaned-sessions.js';
import { Readiness } from '../../../services/gateway/readiness.js';
import type { Asked, RelayAccess } from '../../../services/gateway/relay-clients.js';
import { RetryQueue } from '../../../services/gateway/retry-queue.js';
import { UnnamedCallHandler } from '../../../services/gateway/unnamed-call.js';
import type { AdoptOptions } from '../../../services/selection/carried/binding-repair.js';
import { noMetrics } from '../../../services/selection/front-metrics.js';
import type { LookupOptions } from '../../../services/selection/lookup-options.js';
import { RefusedCalls } from '../../../services/selection/refused-calls.js';
import type { Answer, MoveRequest, SelectRequest } from '../../../services/selection/requests.js';
import { ManualClock, turns } from '../../support/clock.js';
import { aRelay } from '../../support/registry.js';
import { openLog } from '../../support/replica.js';

/** Binds calls in memory, to the first relay that is not excluded, or the first of these that has what the call needs. */
export class FakeRouter implements CallRouter, RelayList {
  readonly bindings = new Map<string, Binding>();
  /** Thrown by the next calls, while set. */
  error: HoldfastError | undefined;
  /** Of its answers. */
  freshness: Answer['freshness'] = 'fresh';
  /** Never answers, while set. */
  hangs = false;
  /** A relay that says that it carries the calls that are not bound. */
  carrier: RegisteredRelay | undefined;
  /** Remembers no binding, while set. */
  hasForgotten = false;
  readonly #hung: (() => void)[] = [];
  readonly released: string[] = [];
  readonly requests: SelectRequest[] = [];
  readonly moves: MoveRequest[] = [];

  constructor(
    readonly relays: RegisteredRelay[],
    private readonly clock: ManualClock,
  ) {}

  /** What hangs goes on. */
  recover(): void {
    this.hangs = false;
    for (const goOn of this.#hung.splice(0)) {
      goOn();
    }
  }

  list(): readonly RegisteredRelay[] {
    return this.relays;
  }

  get(_set: string, id: string): RegisteredRelay | undefined {
    return this.relays.find(({ relay }) => relay.id === id);
  }

  subscribe(): () => void {
    return () => {};
  }

  async select(request: SelectRequest): Promise<Answer> {
    this.requests.push(request);
    await this.#check();
    const { call, requestId } = request;
    const known = this.bindings.get(call.key);
    const binding =
      known ??
      this.bind(call, this.place(call.set, { ...request.constraints, preferred: this.#besideOf(request) }), {
        requestId,
        beginning: requestId,
      });
    if (binding.state === 'released') {
      return this.#answer(
        this.#put({ ...binding, state: 'setup', beginning: requestId, requestId }),
        requestId,
      );
    }
    return this.#answer(binding, requestId);
  }

  async lookup(call: Call, { adopts, deniedBy }: LookupOptions = {}): Promise<Answer | undefined> {
    await this.#check();
    const binding = this.bindings.get(call.key);
    const isElsewhere = !binding || (binding.state === 'setup' && binding.instance === deniedBy);
    if (isElsewhere && adopts && this.carrier) {
      return this.adopt(call, this.carrier, { duringSetup: true });
    }
    return binding && this.#answer(binding, '');
  }

  async located(call: Call): Promise<Answer | undefined> {
    const relay = this.carrier;
    const request = { requestId: '', beginning: '', state: 'answered' } as const;
    return relay && { ...this.#answer(this.#made(call, relay, request), ''), freshness: 'provisional' };
  }

  remembered(call: Call): Binding | undefined {
    return this.hasForgotten ? undefined : this.bindings.get(call.key);
  }

  async answered(call: Call, version: BindingVersion, isLate = false): Promise<Answer | undefined> {
    await this.#check();
    const binding = this.bindings.get(call.key);
    if (!binding || !isVersionOf(binding, version)) {
      return undefined;
    }
    const isOver = isLate && binding.state === 'released';
    return this.#answer(isOver ? binding : this.#put({ ...binding, state: 'answered' }), '');
  }

  async move(request: MoveRequest): Promise<Answer> {
    const { call, generation, constraints, requestId, inSetupOnly, reason, by } = request;
    this.moves.push(request);
    await this.#check();
    const old = this.bindings.get(call.key);
    if (old?.generation !== generation || (inSetupOnly && old.state !== 'setup')) {
      throw new HoldfastError('failed-precondition', 'moved by another gateway');
    }
    const to = this.place(call.set, constraints);
    const moves = [...old.moves, { atMs: this.clock.wallMs(), from: old.relayId, reason, by }];
    return this.#answer(
      this.bind(call, to, { ...old, ...carrierOf(to), generation: generation + 1, requestId, moves }),
      requestId,
    );
  }

  async release(call: Call, version?: BindingVersion): Promise<boolean> {
    await this.#check();
    const binding = this.bindings.get(call.key);
    if (binding && (!version || isVersionOf(binding, version))) {
      this.#put({ ...binding, state: 'released' });
      this.released.push(call.callId);
    }
    return binding !== undefined;
  }

  async *withNotices(instance: string): AsyncGenerator<Binding> {
    yield* [...this.bindings.values()].filter(
      (each) => each.instance === instance && each.notices.length > 0,
    );
  }

  async takeNotices({ call }: Binding): Promise<readonly string[]> {
    await this.#check();
    const binding = this.bindings.get(call.key);
    if (binding) {
      this.#put({ ...binding, notices: [] });
    }
    return binding?.notices ?? [];
  }

  place(_set: string, constraints: SelectRequest['constraints']): RegisteredRelay {
    const { excluded, preferred, needs = [] } = constraints;
    const eligible = this.relays.filter(({ relay }) => !excluded?.includes(relay.id));
    const isAble = ({ relay }: RegisteredRelay) => needs.every((need) => relay.features.includes(need));
    const found =
      eligible.find(({ relay }) => relay.id === preferred) ?? eligible.find(isAble) ?? eligible[0];
    if (!found) {
      throw new HoldfastError(this.relays.length > 0 ? 'relays-full' : 'no-relay', 'no eligible relay');
    }
    return found;
  }

  async adopt(call: Call, relay: RegisteredRelay, { duringSetup }: AdoptOptions = {}): Promise<Answer> {
    await this.#check();
    const known = this.bindings.get(call.key);
    if (known && !(duringSetup && known.state === 'setup')) {
      return this.#answer(known, '');
    }
    return this.#answer(this.bind(call, relay, { state: 'answered' }), '');
  }

  /** Also as another replica would do it. */
  bind(call: Call, relay: RegisteredRelay, overrides: Partial<Binding> = {}): Binding {
    return this.#put(this.#made(call, relay, overrides));
  }

  #made(call: Call, relay: RegisteredRelay, overrides: Partial<Binding>): Binding {
    const nowMs = this.clock.wallMs();
    return {
      call,
      ...carrierOf(relay),
      generation: 1,
      requestId: '',
      state: 'setup',
      beginning: '',
      createdAtMs: nowMs,
      ttlSeconds: 300,
      expiresAtMs: nowMs + 300_000,
      moves: [],
      notices: [],
      ...overrides,
    };
  }

  #besideOf({ withCall }: SelectRequest): string | undefined {
    return withCall && this.bindings.get(withCall.key)?.relayId;
  }

  #put(binding: Binding): Binding {
    this.bindings.set(binding.call.key, binding);
    return binding;
  }

  #answer(binding: Binding, requestId: string): Answer {
    const relay = this.relays.find((each) => each.relay.instance === binding.instance);
    const origin = binding.generation > 1 ? 'moved' : binding.requestId === requestId ? 'new' : 'existing';
    return { binding, relay, origin, freshness: this.freshness };
  }

  async #check(): Promise<void> {
    if (this.hangs) {
      await new Promise<void>((resolve) => this.#hung.push(resolve));
    }
    if (this.error) {
      throw this.error;
    }
  }
}

const carrierOf = ({ relay }: RegisteredRelay) => ({ relayId: relay.id, instance: relay.instance });

export type Told = NgDictionary | 'silent' | 'refused';

/** Relays that say what a test wants: a reply, or a kind of silence, to each request. */
export class FakeRelays implements RelayAccess {
  readonly asked: { relay: string; command: string; body: NgDictionary }[] = [];
  /** Ids of relays that have not answered the last question. */
  readonly silent = new Set<string>();
  /** Ids that do not speak the protocol of the calls. */
  notSpoken: string[] = [];
  tells: (relay: string, request: ControlRequest) => Told = () => ({ result: 'ok' });

  constructor(private readonly clock: ManualClock) {}

  async ask({ relay }: RegisteredRelay, request: ControlRequest, timeoutMs: number): Promise<Asked> {
    this.asked.push({ relay: relay.id, command: request.command, body: parseMessage(request.body).body });
    const told = this.tells(relay.id, request);
    if (told === 'refused') {
      return { kind: 'refused', reason: 'connection refused' };
    }
    if (told === 'silent') {
      await new Promise<void>((resolve) => this.clock.after(timeoutMs, resolve));
      return { kind: 'silent', reason: `no answer within ${timeoutMs} ms` };
    }
    return { kind: 'replied', reply: encodeBody(told, 'bencode') };
  }

  isSilent({ relay }: RegisteredRelay): boolean {
    return this.silent.has(relay.id);
  }

  unspoken(): readonly string[] {
    return this.notSpoken;
  }

  whyUnspoken(): string | undefined {
    return this.notSpoken.length > 0 ? 'another protocol' : undefined;
  }

  /** `relay command` of each request, in order. */
  get log(): string[] {
    return this.asked.map(({ relay, command }) => `${relay} ${command}`);
  }
}

export function registered(overrides: Partial<Relay>): RegisteredRelay {
  return { relay: aRelay(overrides), revision: 1 };
}

/** The handlers of a gateway, with relays and a router that a test commands. */
export function scene(t: ExecutionContext, relays: readonly (string | Partial<Relay>)[] = ['r1', 'r2']) {
  const clock = new ManualClock();
  const { log, lines } = openLog();
  const router = new FakeRouter(
    relays.map((each, at) =>
      registered({
        controlUrl: `udp:192.0.2.1:${2000 + at}`,
        ...(typeof each === 'string' ? { id: each } : each),
      }),
    ),
    clock,
  );
  const clients = new FakeRelays(clock);
  const retries = new RetryQueue({ clock, log });
  t.teardown(async () => {
    router.recover();
    const stopped = retries.stop();
    await clock.pass(1000);
    await stopped;
  });
  const orphans = new OrphanedSessions({ router, clients, retries, directory: router });
  const formerRelays = new FormerRelays({ orphans, directory: router });
  const memory = noMemory(ng);
  const shared = {
    router,
    clients,
    retries,
    orphans,
    formerRelays,
    memory,
    metrics: noMetrics,
    refused: new RefusedCalls({ metrics: noMetrics, clock, log }),
    callTtlSeconds: 3600,
    clock,
    log,
  };
  let notReady: string | undefined;
  const offers = new OfferHandler(shared);
  const calls = new CallHandler({
    offers,
    inDialog: new InDialogHandler(shared),
    deletes: new DeleteHandler(shared),
    unnamed: new UnnamedCallHandler(shared),
    readiness: new Readiness(() => notReady, clock),
    memory,
    refused: shared.refused,
    clock,
  });
  const scope: CallScope = { set: undefined };
  return {
    clock,
    /** Lets time go by, once what is under way waits for it. */
    pass: async (ms: number) => {
      await turns();
      await clock.pass(ms);
    },
    lines,
    router,
    clients,
    retries,
    offers,
    memory,
    setNotReady: (reason: string | undefined) => {
      notReady = reason;
    },
    /** The reply to a request that a proxy sends. */
    ask: async (body: NgDictionary): Promise<NgDictionary> => {
      const reading = ng.read(encodeBody(body, 'bencode'));
      const reply = reading.kind === 'request' ? await calls.handle(reading.request, scope) : undefined;
      if (!reply) {
        throw new Error(`not a request: ${JSON.stringify(body)}`);
      }
      return parseMessage(reply).body;
    },
  };
}

export const theCall = callOf(Buffer.from('call-1'), { set: undefined });
export const offer = { command: 'offer', 'call-id': 'call-1', 'from-tag': 'f', sdp: 'v=0' };
export const deletion = { command: 'delete', 'call-id': 'call-1', 'from-tag': 'f' };
/** How a relay, and the gateway, say that there is no room. */
export const sessionLimit = 'Parallel session limit reached';

/** A dictionary without prototypes, for comparisons. */
export const plain = (body: NgDictionary | undefined) => ({ ...body });

/** A relay that knows no call any more. */
export const knowsNone: FakeRelays['tells'] = (_, { command }) =>
  command === 'query' ? { result: 'error', 'error-reason': 'Unknown call-id' } : { result: 'ok' };
