import type { Intent, Load, RegisteredRelay, Relay } from '../domain/relay.js';
import { relayKey } from '../domain/relay.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import type { EtcdConnection } from './connection.js';
import { etcdUnavailable } from './etcd-error.js';
import type { Keyspace } from './keyspace.js';
import { PrefixView, type ViewOptions } from './prefix-view.js';
import { decodeIntent, decodeLoad, decodeRelay } from './values.js';

export type RelayChange =
  | { readonly type: 'joined' | 'changed'; readonly relay: RegisteredRelay }
  /** With the last that was known of it. */
  | { readonly type: 'left'; readonly relay: RegisteredRelay };

export interface DirectoryParts {
  readonly connection: EtcdConnection;
  readonly keys: Keyspace;
  readonly clock: Clock;
  readonly log: Logger;
}

/** All registered relays with their intents and loads, as etcd tells them. */
export class RelayDirectory {
  readonly #clock: Clock;
  readonly #relays: PrefixView<Relay>;
  readonly #intents: PrefixView<Intent>;
  readonly #loads: PrefixView<HeardLoad>;
  readonly #registered = new Map<string, RegisteredRelay>();
  readonly #listeners = new Set<(change: RelayChange) => void>();

  constructor(parts: DirectoryParts) {
    const { keys, clock } = parts;
    this.#clock = clock;
    const onChange = (key: string) => this.#compose(key);
    const view = <T>(prefix: string, decode: ViewOptions<T>['decode']) =>
      new PrefixView<T>({ ...parts, prefix, decode, onChange });
    this.#intents = view(keys.intents, decodeIntent);
    this.#loads = view(keys.load, (key, bytes) => this.#heard(decodeLoad(key, bytes)));
    this.#relays = view(keys.relays, decodeRelay);
  }

  /** Resolves when all that etcd knows of relays is known here, however long etcd takes to answer. */
  async start(): Promise<void> {
    // Intents and loads first: a relay must not look idle and active because its intent was not read yet.
    await Promise.all([this.#intents.start(), this.#loads.start()]);
    await this.#relays.start();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#relays.stop(), this.#intents.stop(), this.#loads.stop()]);
  }

  /** True while joins and leaves are heard as they happen. */
  get live(): boolean {
    return this.#relays.live;
  }

  get(set: string, id: string): RegisteredRelay | undefined {
    return this.#registered.get(relayKey(set, id));
  }

  /** etcd's mod revision of what stands where this relay registers, even if that is junk; 0 if nothing does. */
  revisionOf(set: string, id: string): number {
    return this.#relays.revisionOf(relayKey(set, id));
  }

  /** Ordered by set, then id. */
  list(set?: string): RegisteredRelay[] {
    return [...this.#registered.values()]
      .filter(({ relay }) => !set || relay.set === set)
      .sort((a, b) => compare(a.relay.set, b.relay.set) || compare(a.relay.id, b.relay.id));
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
    const before = this.#registered.get(key);
    if (!registration) {
      if (this.#registered.delete(key) && before) this.#tell({ type: 'left', relay: before });
      return;
    }
    const heard = this.#loads.entries.get(key)?.value;
    const relay: RegisteredRelay = {
      relay: registration.value,
      revision: registration.revision,
      intent: this.#intents.entries.get(key)?.value,
      load: heard?.load,
      loadHeardAtMs: heard?.heardAtMs,
    };
    this.#registered.set(key, relay);
    this.#tell({ type: before ? 'changed' : 'joined', relay });
  }

  #tell(change: RelayChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}

interface HeardLoad {
  readonly load: Load;
  readonly heardAtMs: number;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
