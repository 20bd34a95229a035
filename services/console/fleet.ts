import type { HoldfastClient } from '../client/index.js';
import type { RecordedEvent } from '../domain/recorded-event.js';
import { type GoneRelay, relayKey } from '../domain/relay.js';
import type { Problem, ReplicaStatus, TrafficRates } from '../domain/status.js';
import { EventRing } from '../history/event-ring.js';
import type { ShownState } from '../page/state.js';
import { allWell } from '../page/status.js';
import type { Clock } from '../runtime/clock.js';
import { Subscribers } from '../runtime/subscribers.js';
import { ReplicaWatch } from './replica-watch.js';

export interface FleetDeps {
  readonly clock: Clock;
  /** One for each replica. */
  readonly clients: readonly HoldfastClient[];
}

/** Several replicas tell of one thing that happened to a relay within this time, ms. */
const sameEventMs = 15_000;
/** Kinds of such things that are remembered for that, and things of one kind. */
const mostKinds = 1000;
const mostOfOneKind = 100;
/** What was told before that is stale, ms. */
const staleMs = 5000;

/** One thing that happened to a relay, and the replicas that have told it. */
interface Telling {
  readonly atMs: number;
  readonly targets: Set<string>;
}

/** Several replicas of one etcd as one: what one of them knows of relays, and the sum of what they do. */
export class Fleet implements ShownState {
  readonly clock: Clock;
  readonly #watches: readonly ReplicaWatch[];
  readonly #events: EventRing;
  readonly #news = new Subscribers<undefined>();
  /** By what happened, and to which relay. */
  readonly #told = new Map<string, readonly Telling[]>();

  constructor({ clock, clients }: FleetDeps) {
    this.clock = clock;
    this.#events = new EventRing(clock);
    this.#watches = clients.map((client) => {
      const watch: ReplicaWatch = new ReplicaWatch({
        clock,
        client,
        onAnswer: () => this.#news.tell(undefined),
        onEvent: (event) => this.#hear(watch.target, event),
      });
      return watch;
    });
  }

  start(): void {
    for (const watch of this.#watches) {
      watch.start();
    }
  }

  stop(): void {
    for (const watch of this.#watches) {
      watch.stop();
    }
  }

  get feed(): EventRing {
    return this.#events;
  }

  /** The listener hears that a replica has answered, or has not. @returns what ends that */
  subscribe(listener: () => void): () => void {
    return this.#news.add(listener);
  }

  /** Whether each replica was heard of, be it that it does not answer. */
  get hasAsked(): boolean {
    return this.#watches.every(({ view, failure }) => view !== undefined || failure !== undefined);
  }

  /** Why nothing is known yet, or what is known is not how things are; undefined where it is. */
  readonly notReady = (): string | undefined => {
    if (this.#live.length > 0) {
      return undefined;
    }
    const [reason = 'no replica was asked yet'] = this.#watches.flatMap(({ failure }) => failure ?? []);
    return reason;
  };

  /** When what is shown of relays was told, by the monotonic clock; undefined if nothing was. */
  get heardAtMs(): number | undefined {
    return this.#best?.heardAtMs;
  }

  readonly relays = () => this.#best?.relays ?? [];
  readonly absent = () => this.#best?.absent ?? [];
  /** Replicas do not tell. */
  readonly isSuspect = () => false;
  readonly isLive = () => this.#best?.fresh ?? false;

  /** Those that any replica has seen leave, the latest first. */
  readonly gone = (): readonly GoneRelay[] => {
    const registered = new Set(this.relays().map(({ relay }) => relayKey(relay.set, relay.id)));
    const latest = new Map<string, GoneRelay>();
    for (const gone of this.#live.flatMap((view) => view.gone)) {
      const key = relayKey(gone.relay.set, gone.relay.id);
      if (!registered.has(key) && gone.atMs > (latest.get(key)?.atMs ?? 0)) {
        latest.set(key, gone);
      }
    }
    return [...latest.values()].sort((a, b) => b.atMs - a.atMs);
  };

  readonly traffic = (): TrafficRates => {
    const all = this.#live.map(({ status }) => status.traffic);
    const newByRelay = new Map<string, number>();
    for (const [key, rate] of all.flatMap((traffic) => [...traffic.newByRelay])) {
      newByRelay.set(key, (newByRelay.get(key) ?? 0) + rate);
    }
    const p99s = all.flatMap(({ p99Ms }) => p99Ms ?? []);
    return {
      newPerSecond: all.reduce((sum, { newPerSecond }) => sum + newPerSecond, 0),
      newByRelay,
      p99Ms: p99s.length > 0 ? Math.max(...p99s) : undefined,
    };
  };

  /** Of each relay what the replica knows that remembers most of its bindings. */
  readonly bindings = (): ReadonlyMap<string, number> => {
    const most = new Map<string, number>();
    for (const [key, count] of this.#live.flatMap(({ status }) => [...status.bindings])) {
      most.set(key, Math.max(most.get(key) ?? 0, count));
    }
    return most;
  };

  readonly status = (): ReplicaStatus => {
    const live = this.#live.map(({ status }) => status);
    const problems = this.#problems();
    const [worst] = problems;
    const [first] = live;
    const calls = this.relays().reduce((sum, { load }) => sum + (load?.calls ?? 0), 0);
    const traffic = this.traffic();
    const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : '';
    const names = new Map(live.flatMap(({ replicas }) => replicas).map((replica) => [replica.name, replica]));
    return {
      atMs: this.clock.wallMs(),
      name: this.#isOne
        ? (first?.name ?? this.#target)
        : `${live.length} of ${this.#watches.length} replicas answer`,
      version: [...new Set(live.map(({ version }) => version))].join(', '),
      level: worst?.level ?? 'ok',
      summary: worst ? `${worst.text}${more}` : allWell(this.relays().length, calls, traffic),
      advice: worst?.advice,
      problems,
      relays: this.relays().length,
      calls,
      traffic,
      bindings: this.bindings(),
      etcd: live.find(({ etcd }) => !etcd.answers)?.etcd ?? first?.etcd ?? { answers: false, updates: false },
      replicas: [...names.values()].map((replica) => ({ ...replica, isOwn: this.#isOne && replica.isOwn })),
    };
  };

  get #isOne(): boolean {
    return this.#watches.length === 1;
  }

  get #target(): string {
    return this.#watches.map(({ target }) => target).join(', ');
  }

  /** Of the replicas that have answered of late. */
  get #live() {
    const sinceMs = this.clock.monotonicMs() - staleMs;
    return this.#watches.flatMap(({ view, failure }) =>
      view && failure === undefined && view.heardAtMs >= sinceMs ? [view] : [],
    );
  }

  /** Who is asked about relays: one that hears of changes, else whoever was heard of last. */
  get #best() {
    const views = this.#watches.flatMap(({ view }) => view ?? []);
    const [latest] = views.toSorted((a, b) => b.heardAtMs - a.heardAtMs);
    return this.#live.find(({ fresh }) => fresh) ?? latest;
  }

  /** What is wrong with any of them; what several say is said once. */
  #problems(): Problem[] {
    const problems = new Map<string, Problem>();
    const isAlone = this.#live.length === 0;
    for (const { target, failure, view } of this.#watches) {
      if (failure !== undefined) {
        const text = `the replica at ${target} does not answer: ${failure}`;
        const advice = isAlone
          ? 'What is shown is the last that was known. Look at the replica, and at the network to it.'
          : 'Look at the replica and its host. The others answer for all calls.';
        problems.set(text, { level: isAlone ? 'critical' : 'warning', text, advice });
      }
      for (const problem of failure === undefined ? (view?.status.problems ?? []) : []) {
        problems.set(problem.text.replace(/\d+ s\b/, ''), problem);
      }
    }
    return [...problems.values()].sort(
      (a, b) => Number(b.level === 'critical') - Number(a.level === 'critical'),
    );
  }

  #hear(target: string, event: Omit<RecordedEvent, 'sequence'>): void {
    const isShared = event.type.startsWith('relay-');
    const { atMs, ...record } = event;
    if (isShared && !this.#isNews(`${event.type} ${event.instance} ${event.text}`, target, atMs)) {
      return;
    }
    const isOwn = !this.#isOne && !isShared && !event.type.startsWith('calls-');
    const text = isOwn ? `${target}: ${event.text}` : event.text;
    this.#events.add({ ...record, text }, Math.max(0, this.clock.wallMs() - atMs));
  }

  /** Whether no other replica has told it. What one replica tells twice has happened twice. */
  #isNews(what: string, target: string, atMs: number): boolean {
    const tellings = this.#told.get(what) ?? [];
    const same = tellings.find(
      (telling) => Math.abs(atMs - telling.atMs) < sameEventMs && !telling.targets.has(target),
    );
    if (same) {
      same.targets.add(target);
      return false;
    }
    this.#told.delete(what);
    this.#told.set(what, [...tellings, { atMs, targets: new Set([target]) }].slice(-mostOfOneKind));
    if (this.#told.size > mostKinds) {
      const [oldest = ''] = this.#told.keys();
      this.#told.delete(oldest);
    }
    return true;
  }
}
