import { messageOf } from '../domain/error.js';
import { LeaseSession, type LeaseSessionDeps } from '../etcd/lease-session.js';
import { type MirrorEntry, PrefixMirror } from '../etcd/prefix-mirror.js';
import { Backoff } from '../runtime/backoff.js';
import { RateLimitedWarning } from '../runtime/rate-limited-warning.js';
import { Subscribers } from '../runtime/subscribers.js';
import { type ReplicaRecord, replicaCodec } from './codecs/replica.js';
import { newInstanceId } from './instance-id.js';
import type { Keyspace } from './keyspace.js';
import {
  differences,
  maxLingerSeconds,
  minLingerSeconds,
  type SharedSettings,
  settingNames,
  settingVariables,
} from './shared-settings.js';

export interface ReplicaRosterDeps extends LeaseSessionDeps {
  readonly keys: Keyspace;
}

export interface ReplicaRosterOptions {
  readonly settings: SharedSettings;
  /** Another replica has other values of these settings, by their variables. */
  readonly onDiffering: (replica: string, variables: readonly string[]) => void;
}

const ttlSeconds = 10;
const retryPause = { firstMs: 500, mostMs: 5000 };
const warningPeriodMs = 60_000;

/**
 * Which replicas share this etcd, and whether they are set alike. Each publishes its settings under a lease.
 *
 * How long a replica may answer from memory depends on how long the others keep what they release. Lingers that differ
 * are made harmless twice: each replica keeps released calls as long as the longest linger that is published, and trusts
 * its memory as long as the shortest allows. One that does not know the others, or is not known to them, assumes the worst.
 */
export class ReplicaRoster {
  readonly #deps: ReplicaRosterDeps;
  readonly #options: ReplicaRosterOptions;
  readonly #mirror: PrefixMirror<ReplicaRecord>;
  readonly #id = newInstanceId();
  readonly #differing: RateLimitedWarning;
  readonly #unpublished: RateLimitedWarning;
  readonly #publications = new Subscribers<void>();
  readonly #stopping = new AbortController();
  /** The lease of the own entry, while it is there. */
  #published: LeaseSession | undefined;
  #longestSeconds: number;
  #shortestSeconds: number;
  #running: Promise<void> | undefined;

  constructor(deps: ReplicaRosterDeps, options: ReplicaRosterOptions) {
    const { clock, log, keys } = deps;
    this.#deps = deps;
    this.#options = options;
    this.#longestSeconds = options.settings.lingerSeconds;
    this.#shortestSeconds = options.settings.lingerSeconds;
    const differing = 'replicas that share this etcd are set differently';
    this.#differing = new RateLimitedWarning(differing, clock, log);
    const unpublished = 'cannot publish the settings of this replica; trying again';
    this.#unpublished = new RateLimitedWarning(unpublished, clock, log, warningPeriodMs);
    this.#mirror = new PrefixMirror<ReplicaRecord>(deps, {
      prefix: keys.replicas,
      decode: replicaCodec.decode,
      onChange: (id, entry) => this.#changed(id, entry),
    });
  }

  /** True while this replica hears of the others as it happens, and they can hear of it. */
  get live(): boolean {
    return this.#mirror.live && this.#isPublished;
  }

  /** How long a binding that this replica releases is kept at least, s. */
  get releaseSeconds(): number {
    return this.#mirror.live ? this.#longestSeconds : maxLingerSeconds;
  }

  /** How long every replica keeps at least what it releases, s. */
  get keptSeconds(): number {
    return this.#isPublished ? this.#shortestSeconds : minLingerSeconds;
  }

  /** How many other replicas differ from this one, by the variable of the setting. */
  get differing(): ReadonlyMap<string, number> {
    const counts = new Map(settingNames.map((name) => [settingVariables[name], 0]));
    for (const { settings } of this.#others()) {
      for (const name of differences(this.#options.settings, settings)) {
        const variable = settingVariables[name];
        counts.set(variable, (counts.get(variable) ?? 0) + 1);
      }
    }
    return counts;
  }

  /** The replicas of this etcd as they have published themselves, this one among them; ordered by name. */
  list(): readonly {
    readonly name: string;
    readonly isOwn: boolean;
    readonly differing: readonly string[];
  }[] {
    return [...this.#mirror.entries]
      .map(([id, { value }]) => ({
        name: value.name,
        isOwn: id === this.#id,
        differing: differences(this.#options.settings, value.settings).map((name) => settingVariables[name]),
      }))
      .sort((a, b) => a.name.localeCompare(b.name));
  }

  /** The listener hears when others know this replica again after they may not have known it. */
  onPublished(listener: () => void): void {
    this.#publications.add(listener);
  }

  /**
   * Resolves when the settings are published, or etcd has refused that once: it is tried until the roster is stopped.
   * @param name for people who read what this replica publishes
   */
  start(name: string): Promise<void> {
    void this.#mirror.start();
    return new Promise((resolve) => {
      this.#running = this.#publish(name, resolve);
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all([this.#published?.close(), this.#mirror.stop(), this.#running]);
  }

  /** By this replica's own clock: its entry may have run out in etcd before anybody said so. */
  get #isPublished(): boolean {
    const session = this.#published;
    return session !== undefined && !session.ended && session.remainingMs > 0;
  }

  async #publish(name: string, onAttempt: () => void): Promise<void> {
    const { signal } = this.#stopping;
    const backoff = new Backoff(retryPause, this.#deps.clock);
    while (!signal.aborted) {
      try {
        const session = await LeaseSession.open(this.#deps, ttlSeconds);
        await this.#publishUnder(session, name, onAttempt).finally(() => session.close());
        backoff.reset();
      } catch (error) {
        if (!this.#deps.outages?.isOn) {
          this.#unpublished.warn({ reason: messageOf(error) });
        }
      }
      onAttempt();
      await backoff.pause(signal);
    }
  }

  /** Resolves when the session has ended. @throws what etcd answered */
  async #publishUnder(session: LeaseSession, name: string, onPublished: () => void): Promise<void> {
    const { connection, keys } = this.#deps;
    const value = replicaCodec.encode({ name, settings: this.#options.settings });
    const put = { key: keys.replica(this.#id), value, lease: session.lease };
    await connection.txn({ success: [{ request_put: put }] });
    if (this.#stopping.signal.aborted) {
      return;
    }
    this.#publications.tell();
    this.#published = session;
    onPublished();
    await session.done;
    this.#published = undefined;
  }

  #changed(id: string, entry: MirrorEntry<ReplicaRecord> | undefined): void {
    if (id === this.#id) {
      if (!entry) {
        // Somebody removed it, or etcd lost it: a new session publishes it again.
        void this.#published?.close();
      }
      return;
    }
    const { settings } = this.#options;
    const lingers = this.#others()
      .filter((other) => other.settings.etcdPrefix === settings.etcdPrefix)
      .map((other) => other.settings.lingerSeconds);
    this.#longestSeconds = Math.max(settings.lingerSeconds, ...lingers);
    this.#shortestSeconds = Math.min(settings.lingerSeconds, ...lingers);
    if (!entry) {
      return;
    }
    const { value: other } = entry;
    const differing = differences(settings, other.settings).map((name) => {
      return [settingVariables[name], { here: settings[name], there: other.settings[name] }] as const;
    });
    if (differing.length > 0) {
      this.#differing.warn({ replica: other.name, settings: Object.fromEntries(differing) });
      this.#options.onDiffering(
        other.name,
        differing.map(([variable]) => variable),
      );
    }
  }

  #others(): ReplicaRecord[] {
    return [...this.#mirror.entries].filter(([id]) => id !== this.#id).map(([, { value }]) => value);
  }
}
