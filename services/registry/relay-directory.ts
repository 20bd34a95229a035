import type { Membership, RelayChange } from '../domain/membership.js';
import type { AbsentIntent, Intent, Load, RegisteredRelay, Relay } from '../domain/relay.js';
import { hasEffect, relayKey } from '../domain/relay.js';
import { etcdUnavailable } from '../etcd/errors.js';
import { InvalidValue } from '../etcd/invalid-value.js';
import {
  type KeyVersion,
  PrefixMirror,
  type PrefixMirrorDeps,
  type PrefixMirrorOptions,
} from '../etcd/prefix-mirror.js';
import { Backoff } from '../runtime/backoff.js';
import { type Clock, sleep } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import { Subscribers } from '../runtime/subscribers.js';
import { intentCodec } from './codecs/intent.js';
import { loadCodec } from './codecs/load.js';
import { relayCodec } from './codecs/relay.js';
import type { Keyspace } from './keyspace.js';
import { registrationTtlSeconds } from './relay-registration.js';
import { SelfPreservation } from './self-preservation.js';
import { ViewHealth } from './view-health.js';

export interface RelayDirectoryDeps extends PrefixMirrorDeps {
  readonly keys: Keyspace;
  /** See `SelfPreservationOptions.percent`. */
  readonly massLossPercent: number;
}

/** Until suspect relays are checked: a relay node that could not renew its lease has registered again by then. */
const checkDelayMs = 3000;
const steadyPeriodMs = 250;
const retryPause = { firstMs: 500, mostMs: 3000 };

/** All registered relays with their intents and loads, as etcd has them. */
export class RelayDirectory implements Membership {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #viewHealth: ViewHealth;
  readonly #selfPreservation: SelfPreservation;
  readonly #stopping = new AbortController();
  readonly #relays: PrefixMirror<Relay>;
  readonly #intents: PrefixMirror<Intent>;
  readonly #loads: PrefixMirror<ReceivedLoad>;
  /** By set, then by id. Each request looks here; to join the two to one key would cost more than the look. */
  readonly #registered = new Map<string, Map<string, RegisteredRelay>>();
  readonly #changes = new Subscribers<RelayChange>();
  /** Keys of relays whose registrations have just gone. */
  #vanished: string[] = [];
  /** Keys of relays whose registrations are gone, which is not believed yet. */
  readonly #suspect = new Set<string>();
  #checking: Promise<void> | undefined;
  /** Since the start, for metrics. */
  readonly counters = { massLosses: 0 };

  constructor(deps: RelayDirectoryDeps) {
    const { keys, clock, massLossPercent: percent } = deps;
    this.#clock = clock;
    this.#log = deps.log;
    const windowMs = registrationTtlSeconds * 1000;
    this.#viewHealth = new ViewHealth(clock, windowMs);
    this.#selfPreservation = new SelfPreservation({ percent, windowMs }, this.#viewHealth, clock);
    const onChange = (key: string) => this.#compose(key);
    const mirror = <T>(prefix: string, decode: PrefixMirrorOptions<T>['decode']) =>
      new PrefixMirror<T>(deps, { prefix, decode, onChange });
    this.#intents = mirror(keys.intents, intentCodec.decode);
    this.#loads = mirror(keys.load, (key, bytes) => this.#received(loadCodec.decode(key, bytes)));
    this.#relays = new PrefixMirror<Relay>(deps, {
      prefix: keys.relays,
      decode: relayCodec.decode,
      onChange,
      onLive: (live) => this.suspect('its watch was cut', !live),
      onLeader: () => this.#viewHealth.note('etcd has another leader'),
    });
  }

  /** Resolves when the directory is complete, however long etcd takes to answer, or when it is stopped before. */
  async start(): Promise<void> {
    // Intents and loads first: a relay must not look idle and active because its intent was not read yet.
    await Promise.all([this.#intents.start(), this.#loads.start()]);
    await this.#relays.start();
    if (!this.#stopping.signal.aborted) {
      this.#viewHealth.start();
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#viewHealth.stop();
    await Promise.all([this.#relays.stop(), this.#intents.stop(), this.#loads.stop(), this.#checking]);
  }

  /** How many relays are not registered, which is not believed yet. */
  get suspectCount(): number {
    return this.#suspect.size;
  }

  /** News of relays may be wrong for this reason, while it lasts and for the TTL of a registration after that. */
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

  /** True while joins and leaves arrive as they happen. */
  get live(): boolean {
    return this.#relays.live;
  }

  get(set: string, id: string): RegisteredRelay | undefined {
    return this.#registered.get(set)?.get(id);
  }

  /** Of the relay's registration, even if its value is invalid. */
  versionOf(set: string, id: string): KeyVersion {
    return this.#relays.versionOf(relayKey(set, id));
  }

  /** Ordered by set, then id. */
  list(set?: string): RegisteredRelay[] {
    return [...this.#registered.values()]
      .flatMap((ofSet) => [...ofSet.values()])
      .filter(({ relay }) => !set || relay.set === set)
      .sort((a, b) => compare(a.relay.set, b.relay.set) || compare(a.relay.id, b.relay.id));
  }

  /** Intents that wait for relays which are not registered, ordered by set, then id. */
  absent(set?: string): AbsentIntent[] {
    const absent: AbsentIntent[] = [];
    for (const [key, { value: intent }] of this.#intents.entries) {
      const name = nameOf(key);
      if (name && (!set || name.set === set) && hasEffect(intent) && !this.get(name.set, name.id)) {
        absent.push({ ...name, intent });
      }
    }
    return absent.sort((a, b) => compare(a.set, b.set) || compare(a.id, b.id));
  }

  /** Up to which etcd has what it has from before it was restored, by what relay nodes say that went through that; 0 if none did. */
  get restoredRevision(): number {
    return Math.max(0, ...this.list().map(({ load }) => load?.restoredRevision ?? 0));
  }

  /** The sets that have a relay. */
  sets(): Iterable<string> {
    return this.#registered.keys();
  }

  /** The listener gets every change from now on, in etcd's order; the returned function ends that. */
  subscribe(listener: (change: RelayChange) => void): () => void {
    return this.#changes.add(listener);
  }

  /**
   * Lists the registered relays now, for a caller that has seen this directory to be behind.
   * @throws HoldfastError `unavailable`
   */
  refresh(): Promise<void> {
    return this.#relays.refresh().catch((error) => {
      throw etcdUnavailable('listing relays', error);
    });
  }

  #received(load: Load | InvalidValue): ReceivedLoad | InvalidValue {
    return load instanceof InvalidValue ? load : { load, receivedAtMs: this.#clock.monotonicMs() };
  }

  /** Joins what the three mirrors say of one relay. Only a registration makes a relay exist. */
  #compose(key: string): void {
    const registration = this.#relays.entries.get(key);
    const before = this.#find(key);
    if (!registration) {
      if (before && !this.#suspect.has(key)) {
        this.#vanish(key);
      }
      return;
    }
    this.#suspect.delete(key);
    // A load goes with its registration, and may be gone a moment before that: its last report tells why both go.
    const isLast = before?.lease === registration.lease && before.revision === registration.revision;
    const kept = isLast ? before : undefined;
    const received = this.#loads.entries.get(key)?.value;
    const relay: RegisteredRelay = {
      relay: registration.value,
      revision: registration.revision,
      lease: registration.lease,
      intent: this.#intents.entries.get(key)?.value,
      load: received?.load ?? kept?.load,
      loadHeardAtMs: received?.receivedAtMs ?? kept?.loadHeardAtMs,
    };
    this.#put(relay);
    this.#changes.tell(before ? { type: 'changed', relay, before } : { type: 'joined', relay });
  }

  /** What vanishes in one list, or in one message of the watch, is judged as a whole. */
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
    const reason = this.#selfPreservation.reasonToDoubt(vanished.length, left);
    if (reason === undefined) {
      for (const key of vanished) {
        this.#removeUnlessRegistered(key);
      }
      return;
    }
    for (const key of vanished) {
      this.#suspectRelay(key);
    }
    this.counters.massLosses++;
    this.#log.warn(
      { vanished: vanished.length, left, because: reason },
      'many relays vanished at once while this view is suspect; listing them again first',
    );
    this.#checking ??= this.#check().finally(() => {
      this.#checking = undefined;
    });
  }

  /** Until no relay is suspect any more. */
  async #check(): Promise<void> {
    const { signal } = this.#stopping;
    const backoff = new Backoff(retryPause, this.#clock);
    while (this.#suspect.size > 0 && !signal.aborted) {
      await sleep(this.#clock, checkDelayMs, signal);
      // An etcd that is lost, or takes no writes, has no relay register again: who is not there may be well.
      while (this.#viewHealth.steadyMs < checkDelayMs && !signal.aborted) {
        await sleep(this.#clock, steadyPeriodMs, signal);
      }
      const suspect = [...this.#suspect];
      while (!signal.aborted && !(await this.#tryRefresh())) {
        await backoff.pause(signal);
      }
      backoff.reset();
      if (!signal.aborted) {
        for (const key of suspect) {
          this.#removeUnlessRegistered(key);
        }
      }
    }
  }

  /** False if etcd did not answer. The mirror's own attempts log why. */
  async #tryRefresh(): Promise<boolean> {
    return await this.refresh().then(
      () => true,
      () => false,
    );
  }

  #suspectRelay(key: string): void {
    const relay = this.#find(key);
    if (!relay) {
      return;
    }
    this.#suspect.add(key);
    this.#changes.tell({ type: 'suspect', relay });
  }

  #removeUnlessRegistered(key: string): void {
    this.#suspect.delete(key);
    const before = this.#find(key);
    if (this.#relays.entries.has(key) || !before) {
      return;
    }
    this.#remove(before);
    this.#changes.tell({ type: 'left', relay: before });
  }

  /** The relay whose `relayKey` this is. */
  #find(key: string): RegisteredRelay | undefined {
    const name = nameOf(key);
    return name && this.get(name.set, name.id);
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
}

interface ReceivedLoad {
  readonly load: Load;
  /** By the monotonic clock. */
  readonly receivedAtMs: number;
}

/** The names in a `relayKey`; undefined for what is none. */
function nameOf(key: string): { set: string; id: string } | undefined {
  const [set = '', id = '', ...more] = key.split('/');
  return more.length === 0 ? { set, id } : undefined;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
