import type { IDuplexStream, IWatchRequest, IWatchResponse } from 'etcd3';
import { messageOf } from '../domain/error.js';
import { Backoff } from '../runtime/backoff.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import { RateLimitedWarning } from '../runtime/rate-limited-warning.js';
import type { EtcdConnection } from './connection.js';
import { InvalidValue } from './invalid-value.js';
import { OutageLog } from './outage-log.js';
import { endOfPrefix } from './range.js';
import { RangeReader } from './range-reader.js';

/** Which writing of a key this is. An etcd that has lost its data counts revisions anew; it gives no lease twice. */
export interface KeyVersion {
  /** etcd's mod revision of the key; 0 if there is no such key. */
  readonly revision: number;
  /** Decimal; 0 if it is on none. */
  readonly lease: string;
}

/** One key under the prefix. */
export interface MirrorEntry<T> extends KeyVersion {
  readonly value: T;
}

/** What a list found under one key; undefined where it is what the mirror has. */
type Listed<T> = MirrorEntry<T | InvalidValue> | undefined;

const absent: KeyVersion = { revision: 0, lease: '0' };

export interface PrefixMirrorDeps {
  readonly connection: EtcdConnection;
  readonly clock: Clock;
  readonly log: Logger;
  /** Where an outage of etcd is logged; one that is shared logs it once for all. */
  readonly outages?: OutageLog;
}

export interface PrefixMirrorOptions<T> {
  readonly prefix: string;
  /** @param name the key without the prefix */
  readonly decode: (name: string, bytes: Buffer) => T | InvalidValue;
  /** Called for each change, in etcd's order. `entry` is undefined when the key is gone or its value is invalid. */
  readonly onChange: (name: string, entry: MirrorEntry<T> | undefined) => void;
  /** False: puts are reported as they happen, and nothing is kept of them, however many keys there are. */
  readonly keeps?: boolean;
  /** Called when the watch is established, and when it breaks. */
  readonly onLive?: (live: boolean) => void;
  /** Called when etcd has another leader than before, ahead of the changes that come with the news. */
  readonly onLeader?: () => void;
}

const retryPause = { firstMs: 100, mostMs: 1000 };
/** Limit of the answer to the creation of a watch. */
const answerTimeoutMs = 5000;

/**
 * A mirror of all keys with one prefix: list, then watch from the listed revision + 1. Whatever ends the watch (a cut,
 * a compaction, a restart of etcd), it lists again and reports only the differences. So no change is lost, as it would
 * be by a watch that resumes from the current revision.
 */
export class PrefixMirror<T> {
  readonly #deps: PrefixMirrorDeps;
  readonly #options: PrefixMirrorOptions<T>;
  readonly #outages: OutageLog;
  readonly #entries = new Map<string, MirrorEntry<T>>();
  /** Keys whose values are invalid. */
  readonly #invalid = new Map<string, KeyVersion>();
  readonly #stopping = new AbortController();
  /** The mirror has all changes up to this etcd revision. */
  #revision = 0;
  /** etcd's raft term: each leader has its own. */
  #term = '';
  #live = false;
  readonly #reader: RangeReader;
  readonly #junk: RateLimitedWarning;
  #stream: IDuplexStream<IWatchRequest, IWatchResponse> | undefined;
  #started: Promise<void> | undefined;
  #running: Promise<void> | undefined;
  #refreshing: Promise<void> | undefined;

  constructor(deps: PrefixMirrorDeps, options: PrefixMirrorOptions<T>) {
    this.#deps = deps;
    this.#options = options;
    const { clock, log, outages = new OutageLog(clock, log) } = deps;
    this.#reader = new RangeReader(deps.connection);
    this.#outages = outages;
    this.#junk = new RateLimitedWarning('junk in etcd; skipped', clock, log);
  }

  get entries(): ReadonlyMap<string, MirrorEntry<T>> {
    return this.#entries;
  }

  /** Of the key, even if its value is invalid. */
  versionOf(name: string): KeyVersion {
    return this.#entries.get(name) ?? this.#invalid.get(name) ?? absent;
  }

  /** True while a watch is established: changes arrive as they happen. */
  get live(): boolean {
    return this.#live;
  }

  /**
   * Resolves when the mirror is complete for the first time, however long etcd takes to answer, or when it is stopped
   * before. Further calls return the same promise.
   */
  start(): Promise<void> {
    this.#started ??= new Promise((resolve) => {
      this.#running = this.#run(resolve).finally(resolve);
    });
    return this.#started;
  }

  /** Resolves when nothing is called back any more. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#stream?.cancel();
    await this.#running;
    this.#outages.recovered(this);
  }

  /**
   * Lists now, for a caller that has seen the mirror to be behind. Concurrent callers share one list that began after
   * they called.
   * @throws what etcd answered
   */
  async refresh(): Promise<void> {
    const underWay = this.#refreshing;
    if (underWay !== undefined) {
      await underWay.catch(() => undefined);
    }
    this.#refreshing ??= this.#list().finally(() => {
      this.#refreshing = undefined;
    });
    await this.#refreshing;
  }

  async #run(onComplete: () => void): Promise<void> {
    const { prefix } = this.#options;
    const { signal } = this.#stopping;
    const backoff = new Backoff(retryPause, this.#deps.clock);
    while (!signal.aborted) {
      try {
        await this.refresh();
        if (signal.aborted) {
          break;
        }
        onComplete();
        backoff.reset();
        await this.#watch();
      } catch (error) {
        if (signal.aborted) {
          break;
        }
        this.#outages.failed(this, { reason: messageOf(error), prefix });
        await backoff.pause(signal);
      }
    }
  }

  /** Reads the prefix page by page at one revision, and reports what differs from the mirror. */
  async #list(): Promise<void> {
    const { prefix } = this.#options;
    const listed = new Map<string, Listed<T>>();
    // A stopped mirror hears nothing, but a caller may still have it list; what the stop overtook is not reported.
    const wasStopped = this.#stopping.signal.aborted;
    const revisionBefore = this.#revision;
    let revision = 0;
    for await (const page of this.#reader.pages(prefix)) {
      revision ||= Number(page.header.revision);
      this.#hearTerm(page.header.raft_term);
      for (const kv of page.kvs) {
        const name = kv.key.toString().slice(prefix.length);
        const version = versionOf(kv);
        if (this.#options.keeps ?? true) {
          const isKnown = revision >= revisionBefore && isSame(this.versionOf(name), version);
          // Decoded at once: the bytes may be many.
          const decode = () => ({ value: this.#decode(name, kv.value, version), ...version });
          listed.set(name, isKnown ? undefined : decode());
        } else if (version.revision > revisionBefore) {
          this.#put(name, kv.value, version);
        }
      }
    }
    // An etcd that lost its data begins again at a low revision: what it says now is what counts.
    const isBackwards = revision < revisionBefore;
    // A watch that ran meanwhile has reported more than this list can know.
    if (this.#stopping.signal.aborted !== wasStopped || (!isBackwards && revision < this.#revision)) {
      return;
    }
    if (isBackwards) {
      this.#deps.log.warn(
        { prefix, revision, revisionBefore },
        "etcd's revision went back: its data was lost or restored",
      );
    }
    this.#replace(listed);
    this.#revision = revision;
  }

  #replace(listed: ReadonlyMap<string, Listed<T>>): void {
    for (const name of [...this.#entries.keys(), ...this.#invalid.keys()]) {
      if (!listed.has(name)) {
        this.#remove(name);
      }
    }
    for (const [name, found] of listed) {
      if (found) {
        this.#take(name, found.value, found);
      }
    }
  }

  /** Resolves when the mirror stops, and rejects when the watch ends for any other reason. */
  async #watch(): Promise<void> {
    const { prefix } = this.#options;
    const stream = await this.#deps.connection.watch();
    this.#stream = stream;
    let cancelTimeout = () => {};
    try {
      await new Promise<void>((resolve, reject) => {
        stream.on('error', reject);
        stream.on('end', () => reject(new Error('etcd ended the watch')));
        if (this.#stopping.signal.aborted) {
          return resolve();
        }
        const expire = () => reject(new Error('etcd did not create the watch in time'));
        cancelTimeout = this.#deps.clock.after(answerTimeoutMs, expire);
        stream.on('data', (response) => {
          if (response.canceled) {
            return reject(this.#canceled(response));
          }
          if (response.created) {
            cancelTimeout();
            this.#outages.recovered(this);
            this.#setLive(true);
          }
          this.#apply(response);
        });
        stream.write({
          create_request: {
            key: Buffer.from(prefix),
            range_end: endOfPrefix(prefix),
            start_revision: this.#revision + 1,
            // Reports the current revision while nothing changes, so that a resumed watch is not compacted away.
            progress_notify: true,
            // Changes of one revision, or of many when the watch catches up, may together be too large to receive.
            fragment: true,
          },
        });
      });
    } finally {
      cancelTimeout();
      this.#setLive(false);
      this.#stream = undefined;
      stream.cancel();
    }
  }

  #canceled({ compact_revision, cancel_reason }: IWatchResponse): Error {
    const isCompacted = Number(compact_revision) > 0;
    const { prefix } = this.#options;
    this.#deps.log.info({ prefix, compacted: isCompacted, reason: cancel_reason }, 'etcd canceled the watch');
    return new Error(isCompacted ? 'the watched revision was compacted' : cancel_reason);
  }

  #hearTerm(term: string): void {
    if (this.#term !== '' && term !== this.#term) {
      this.#options.onLeader?.();
    }
    this.#term = term;
  }

  #apply(response: IWatchResponse): void {
    this.#hearTerm(response.header.raft_term);
    const prefixLength = this.#options.prefix.length;
    for (const { type, kv } of response.events) {
      const version = versionOf(kv);
      // A list in between has reported this already; to report it again would take the mirror back in time.
      if (version.revision <= this.#revision) {
        continue;
      }
      const name = kv.key.toString().slice(prefixLength);
      if (type === 'Delete') {
        this.#remove(name);
      } else {
        this.#put(name, kv.value, version);
      }
    }
    // A watch that catches up gets its events in parts, each with etcd's current revision in the header. Only the
    // header of a response without events says how far the watch has come.
    const last = response.events.at(-1)?.kv.mod_revision;
    const reached = Number(last ?? response.header.revision);
    if (!response.created && !response.fragment && reached > this.#revision) {
      this.#revision = reached;
    }
  }

  #put(name: string, bytes: Buffer, version: KeyVersion): void {
    this.#take(name, this.#decode(name, bytes, version), version);
  }

  #decode(name: string, bytes: Buffer, version: KeyVersion): T | InvalidValue {
    const value = this.#options.decode(name, bytes);
    // A list meets the same junk again.
    const known = this.#invalid.get(name);
    if (value instanceof InvalidValue && !(known && isSame(known, version))) {
      const { revision } = version;
      this.#junk.warn({ key: this.#options.prefix + name, revision, reason: value.reason });
    }
    return value;
  }

  #take(name: string, value: T | InvalidValue, version: KeyVersion): void {
    const { onChange, keeps = true } = this.#options;
    if (value instanceof InvalidValue) {
      this.#remove(name);
      if (keeps) {
        this.#invalid.set(name, version);
      }
      return;
    }
    this.#invalid.delete(name);
    const entry = { value, revision: version.revision, lease: version.lease };
    if (keeps) {
      this.#entries.set(name, entry);
    }
    onChange(name, entry);
  }

  #remove(name: string): void {
    this.#invalid.delete(name);
    if (this.#entries.delete(name)) {
      this.#options.onChange(name, undefined);
    }
  }

  #setLive(live: boolean): void {
    if (this.#live === live) {
      return;
    }
    this.#live = live;
    this.#options.onLive?.(live);
  }
}

const versionOf = ({ mod_revision, lease }: { mod_revision: string; lease: string }): KeyVersion => ({
  revision: Number(mod_revision),
  lease,
});

const isSame = (one: KeyVersion, other: KeyVersion): boolean =>
  one.revision === other.revision && one.lease === other.lease;
