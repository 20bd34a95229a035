import type { Membership, RelayChange } from '../domain/membership.js';
import type { Intent, Load, RegisteredRelay, Relay } from '../domain/relay.js';
import { relayKey } from '../domain/relay.js';
import type { EtcdConnection } from '../etcd/connection.js';
import { etcdUnavailable } from '../etcd/errors.js';
import { type MirrorOptions, PrefixMirror } from '../etcd/prefix-mirror.js';
import { type Clock, sleep } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import { decodeIntent, decodeLoad, decodeRelay } from './codecs.js';
import type { Keyspace } from './keyspace.js';
import { registrationTtlSeconds } from './relay-registration.js';
import { SelfPreservation } from './self-preservation.js';
import { ViewHealth } from './view-health.js';

export interface DirectoryDeps {
  readonly connection: EtcdConnection;
  readonly keys: Keyspace;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface RelayDirectoryDeps extends DirectoryDeps {
  /** Share of the relays, 0-100, that may vanish within a lease's time and be believed while the view is suspect. */
  readonly massLossPercent: number;
}

/** Before a doubtful loss is looked at again: a relay node that could not renew its lease has registered again by then. */
const secondLookMs = 3000;

/** All registered relays with their intents and loads, as etcd tells them. */
export class RelayDirectory implements Membership {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #viewHealth: ViewHealth;
  readonly #brake: SelfPreservation;
  readonly #stopping = new AbortController();
  readonly #relays: PrefixMirror<Relay>;
  readonly #intents: PrefixMirror<Intent>;
  readonly #loads: PrefixMirror<HeardLoad>;
  /** By set, then by id: each request looks here, and would pay more to join the two to a key than to look. */
  readonly #registered = new Map<string, Map<string, RegisteredRelay>>();
  readonly #listeners = new Set<(change: RelayChange) => void>();
  /** Relays that have just vanished. */
  #vanished: string[] = [];
  /** Relays that vanished in a way that is not believed yet. */
  readonly #suspect = new Set<string>();
  #looking: Promise<void> | undefined;
  /** Since the start, for metrics. */
  readonly counters = { massLosses: 0 };

  constructor(deps: RelayDirectoryDeps) {
    const { keys, clock, massLossPercent: percent } = deps;
    this.#clock = clock;
    this.#log = deps.log;
    const windowMs = registrationTtlSeconds * 1000;
    this.#viewHealth = new ViewHealth(clock, windowMs);
    this.#brake = new SelfPreservation({ percent, windowMs }, this.#viewHealth, clock);
    const onChange = (key: string) => this.#compose(key);
    const view = <T>(prefix: string, decode: MirrorOptions<T>['decode']) =>
      new PrefixMirror<T>({ ...deps, prefix, decode, onChange });
    this.#intents = view(keys.intents, decodeIntent);
    this.#loads = view(keys.load, (key, bytes) => this.#heard(decodeLoad(key, bytes)));
    this.#relays = new PrefixMirror<Relay>({
      ...deps,
      prefix: keys.relays,
      decode: decodeRelay,
      onChange,
      onLive: (live) => this.suspect('its watch was cut', !live),
      onLeader: () => this.#viewHealth.note('etcd has another leader'),
    });
  }

  /** Resolves when all that etcd knows of relays is known here, however long etcd takes to answer. */
  async start(): Promise<void> {
    // Intents and loads first: a relay must not look idle and active because its intent was not read yet.
    await Promise.all([this.#intents.start(), this.#loads.start()]);
    await this.#relays.start();
    this.#viewHealth.start();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#viewHealth.stop();
    await Promise.all([this.#relays.stop(), this.#intents.stop(), this.#loads.stop(), this.#looking]);
  }

  /** How many relays vanished in a way that is not believed yet. */
  get suspectCount(): number {
    return this.#suspect.size;
  }

  /** What is heard of relays may be wrong, for that reason, while that lasts and for a lease's time after it. */
  suspect(reason: string, lasts: boolean): void {
    if (lasts) {
      this.#viewHealth.begin(reason);
    } else {
      this.#viewHealth.end(reason);
    }
  }

  isSuspect(set: string, id: string): boolean {
    return this.#suspect.size > 0 && this.#suspect.has(relayKey(set, id));
  }

  /** True while joins and leaves are heard as they happen. */
  get live(): boolean {
    return this.#relays.live;
  }

  get(set: string, id: string): RegisteredRelay | undefined {
    return this.#registered.get(set)?.get(id);
  }

  /** etcd's mod revision of what stands where this relay registers, even if that is junk; 0 if nothing does. */
  revisionOf(set: string, id: string): number {
    return this.#relays.revisionOf(relayKey(set, id));
  }

  /** Ordered by set, then id. */
  list(set?: string): RegisteredRelay[] {
    return [...this.#registered.values()]
      .flatMap((ofSet) => [...ofSet.values()])
      .filter(({ relay }) => !set || relay.set === set)
      .sort((a, b) => compare(a.relay.set, b.relay.set) || compare(a.relay.id, b.relay.id));
  }

  /** The sets that have a relay. */
  sets(): Iterable<string> {
    return this.#registered.keys();
  }

  /** The listener hears every change from now on, in etcd's order; the returned function ends that. */
  subscribe(listener: (change: RelayChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Asks etcd who is registered now, for a caller that has seen this directory to be behind.
   * @throws HoldfastError `unavailable`
   */
  refresh(): Promise<void> {
    return this.#relays.refresh().catch((error) => {
      throw etcdUnavailable('listing relays', error);
    });
  }

  #heard(load: Load | undefined): HeardLoad | undefined {
    return load && { load, heardAtMs: this.#clock.monotonicMs() };
  }

  /** Joins what the three views say of one relay; only a registration makes a relay exist. */
  #compose(key: string): void {
    const registration = this.#relays.entries.get(key);
    const before = this.#named(key);
    if (!registration) {
      if (before && !this.#suspect.has(key)) {
        this.#vanish(key);
      }
      return;
    }
    this.#suspect.delete(key);
    const heard = this.#loads.entries.get(key)?.value;
    const relay: RegisteredRelay = {
      relay: registration.value,
      revision: registration.revision,
      intent: this.#intents.entries.get(key)?.value,
      load: heard?.load,
      loadHeardAtMs: heard?.heardAtMs,
    };
    this.#put(relay);
    this.#tell(before ? { type: 'changed', relay, before } : { type: 'joined', relay });
  }

  /** What vanishes in one list, or in one message of the watch, is looked at as a whole. */
  #vanish(key: string): void {
    this.#vanished.push(key);
    if (this.#vanished.length === 1) {
      queueMicrotask(() => this.#judge());
    }
  }

  #judge(): void {
    const vanished = this.#vanished.filter((key) => !this.#relays.entries.has(key));
    this.#vanished = [];
    const left = this.#relays.entries.size;
    const reason = this.#brake.doubt(vanished.length, left);
    if (reason === undefined) {
      for (const key of vanished) {
        this.#believe(key);
      }
      return;
    }
    for (const key of vanished) {
      this.#doubt(key);
    }
    this.counters.massLosses++;
    this.#log.warn(
      { vanished: vanished.length, left, because: reason },
      'many relays vanished at once while this view is suspect; looking again before it is believed',
    );
    this.#looking ??= this.#lookAgain().finally(() => {
      this.#looking = undefined;
    });
  }

  async #lookAgain(): Promise<void> {
    const { signal } = this.#stopping;
    while (this.#suspect.size > 0) {
      await sleep(this.#clock, secondLookMs, signal);
      if (signal.aborted) {
        return;
      }
      const suspect = [...this.#suspect];
      const listed = await this.refresh().then(
        () => true,
        () => false,
      );
      if (listed) {
        for (const key of suspect) {
          this.#believe(key);
        }
      }
    }
  }

  #doubt(key: string): void {
    const relay = this.#named(key);
    if (!relay) {
      return;
    }
    this.#suspect.add(key);
    this.#tell({ type: 'suspect', relay });
  }

  /** The relay is gone, unless it has come back. */
  #believe(key: string): void {
    this.#suspect.delete(key);
    const before = this.#named(key);
    if (this.#relays.entries.has(key) || !before) {
      return;
    }
    this.#remove(before);
    this.#tell({ type: 'left', relay: before });
  }

  /** The relay whose `relayKey` this is. */
  #named(key: string): RegisteredRelay | undefined {
    const [set = '', id = '', ...more] = key.split('/');
    return more.length === 0 ? this.get(set, id) : undefined;
  }

  #put(registered: RegisteredRelay): void {
    const { set, id } = registered.relay;
    const ofSet = this.#registered.get(set);
    if (ofSet) {
      ofSet.set(id, registered);
    } else {
      this.#registered.set(set, new Map([[id, registered]]));
    }
  }

  #remove({ relay: { set, id } }: RegisteredRelay): void {
    const ofSet = this.#registered.get(set);
    ofSet?.delete(id);
    if (ofSet?.size === 0) {
      this.#registered.delete(set);
    }
  }

  #tell(change: RelayChange): void {
    for (const listener of this.#listeners) {
      listener(change);
    }
  }
}

interface HeardLoad {
  readonly load: Load;
  readonly heardAtMs: number;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
