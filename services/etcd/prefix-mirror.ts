import type { IDuplexStream, IWatchRequest, IWatchResponse } from 'etcd3';
import { messageOf } from '../domain/error.js';
import type { Clock } from '../runtime/clock.js';
import { sleep } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import type { EtcdConnection } from './connection.js';
import { endOfPrefix } from './range.js';

/** One key under the prefix. */
export interface MirrorEntry<T> {
  readonly value: T;
  /** etcd's mod revision of the key. */
  readonly revision: number;
}

export interface MirrorOptions<T> {
  readonly connection: EtcdConnection;
  readonly prefix: string;
  /** What a value says, or undefined if it is junk: such a key is logged and treated as absent. */
  readonly decode: (name: string, value: Buffer) => T | undefined;
  /** Called for each change, in etcd's order. `entry` is undefined when the key went away. */
  readonly onChange: (name: string, entry: MirrorEntry<T> | undefined) => void;
  /** Called when the view begins or ceases to hear etcd. */
  readonly onLive?: (live: boolean) => void;
  /** Called when etcd has another leader than before. */
  readonly onLeader?: () => void;
  readonly clock: Clock;
  readonly log: Logger;
}

const pageSize = 5000;
/** Waits between attempts to reach etcd: 100 ms, doubled up to 1 s, each ±50 %. */
const backoffMs = { first: 100, most: 1000 };
/** Most that one page of a list, or the answer to the creation of a watch, may take. */
const answerTimeoutMs = 5000;

/**
 * A mirror of all keys with one prefix: list, then watch from the listed revision + 1. Whatever ends the watch (a
 * cut, a compaction, etcd restarting) it lists again and tells only what differs, so no change is ever lost,
 * whereas a watcher that resumes by itself from «now» would lose those made during the cut.
 */
export class PrefixMirror<T> {
  readonly #options: MirrorOptions<T>;
  readonly #entries = new Map<string, MirrorEntry<T>>();
  /** Mod revisions of keys that hold junk. */
  readonly #junk = new Map<string, number>();
  readonly #stopping = new AbortController();
  /** All changes up to this etcd revision are in the view. */
  #revision = 0;
  /** etcd's term: each leader has its own. */
  #term = '';
  #live = false;
  #stream: IDuplexStream<IWatchRequest, IWatchResponse> | undefined;
  #running: Promise<void> | undefined;
  #refreshing: Promise<void> | undefined;

  constructor(options: MirrorOptions<T>) {
    this.#options = options;
  }

  get entries(): ReadonlyMap<string, MirrorEntry<T>> {
    return this.#entries;
  }

  /** etcd's mod revision of whatever stands under the name, junk included; 0 if nothing does. */
  revisionOf(name: string): number {
    return this.#entries.get(name)?.revision ?? this.#junk.get(name) ?? 0;
  }

  /** True while a watch is established: changes arrive as they happen. */
  get live(): boolean {
    return this.#live;
  }

  /** Resolves once the view is complete for the first time, however long etcd takes to answer. */
  start(): Promise<void> {
    return new Promise((resolve) => {
      this.#running ??= this.#run(resolve);
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#stream?.cancel();
    await this.#running;
  }

  /**
   * Lists now, for a caller that has seen the view to be behind. Callers at the same time share one list that
   * began after they called.
   * @throws what etcd answered
   */
  async refresh(): Promise<void> {
    const underWay = this.#refreshing;
    if (underWay) {
      await underWay.catch(() => undefined);
    }
    this.#refreshing ??= this.#list().finally(() => {
      this.#refreshing = undefined;
    });
    await this.#refreshing;
  }

  async #run(onComplete: () => void): Promise<void> {
    const { clock, log, prefix } = this.#options;
    let failures = 0;
    while (!this.#stopping.signal.aborted) {
      try {
        await this.refresh();
        onComplete();
        failures = 0;
        await this.#watch();
      } catch (error) {
        if (this.#stopping.signal.aborted) {
          break;
        }
        this.#setLive(false);
        failures++;
        // One line for an outage, not one per attempt.
        if (failures === 1 || failures % 30 === 0) {
          log.warn({ reason: messageOf(error), prefix, failures }, 'cannot hear etcd; trying again');
        }
        const delay = Math.min(backoffMs.most, backoffMs.first * 2 ** Math.min(failures - 1, 10));
        await sleep(clock, delay * (0.5 + Math.random()), this.#stopping.signal);
      }
    }
    this.#setLive(false);
  }

  /** Reads the prefix page by page at one revision, and tells what differs from the view. */
  async #list(): Promise<void> {
    const { connection, prefix, log } = this.#options;
    const end = endOfPrefix(prefix);
    const listed = new Map<string, { value: Buffer; revision: number }>();
    const seenBefore = this.#revision;
    let revision = 0;
    let from = Buffer.from(prefix);
    for (let more = true; more; ) {
      const page = await connection.range(
        { key: from, range_end: end, limit: pageSize, revision },
        { deadline: Date.now() + answerTimeoutMs },
      );
      revision ||= Number(page.header.revision);
      this.#hearTerm(page.header.raft_term);
      for (const { key, value, mod_revision } of page.kvs) {
        listed.set(key.toString().slice(prefix.length), { value, revision: Number(mod_revision) });
      }
      more = page.more;
      const last = page.kvs.at(-1);
      if (more && last) {
        from = Buffer.concat([last.key, Buffer.of(0)]);
      }
    }
    // etcd whose data were lost starts again at a low revision: what it says now is what counts.
    const backwards = revision < seenBefore;
    // A watch that ran meanwhile has told more than this list can know.
    if (!backwards && revision < this.#revision) {
      return;
    }
    if (backwards) {
      log.warn({ prefix, revision, seen: seenBefore }, 'etcd has gone back in time');
    }
    for (const name of [...this.#entries.keys(), ...this.#junk.keys()]) {
      if (!listed.has(name)) {
        this.#remove(name);
      }
    }
    for (const [name, { value, revision }] of listed) {
      if (backwards || this.revisionOf(name) !== revision) {
        this.#put(name, value, revision);
      }
    }
    this.#revision = revision;
  }

  /** Resolves or rejects when the watch has ended, for whatever reason. */
  async #watch(): Promise<void> {
    const { connection, prefix, log, clock } = this.#options;
    const stream = await connection.watch();
    this.#stream = stream;
    let cancelTimeout = () => {};
    try {
      await new Promise<void>((resolve, reject) => {
        if (this.#stopping.signal.aborted) {
          return resolve();
        }
        cancelTimeout = clock.after(answerTimeoutMs, () => reject(new Error('etcd did not open the watch')));
        stream.on('error', reject);
        stream.on('end', () => reject(new Error('etcd ended the watch')));
        stream.on('data', (response) => {
          if (response.canceled) {
            const compacted = Number(response.compact_revision) > 0;
            log.info({ prefix, compacted, reason: response.cancel_reason }, 'watch canceled by etcd');
            return reject(
              new Error(compacted ? 'the watched revision was compacted' : response.cancel_reason),
            );
          }
          if (response.created) {
            cancelTimeout();
            this.#setLive(true);
          }
          this.#apply(response);
        });
        stream.write({
          create_request: {
            key: Buffer.from(prefix),
            range_end: endOfPrefix(prefix),
            start_revision: this.#revision + 1,
            // Tells the revision reached where nothing changes, so that a resumed watch is not compacted away.
            progress_notify: true,
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

  /** Heard before what comes with it, so that who asks why knows. */
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
      const revision = Number(kv.mod_revision);
      // A list in between has told this already; telling it again would take the view back in time.
      if (revision <= this.#revision) {
        continue;
      }
      const name = kv.key.toString().slice(prefixLength);
      if (type === 'Delete') {
        this.#remove(name);
      } else {
        this.#put(name, kv.value, revision);
      }
    }
    // A watch that has much to catch up on tells it in parts, each with etcd's present revision in its header:
    // only without events does the header say how far this watch has come.
    const last = response.events.at(-1)?.kv.mod_revision;
    const reached = Number(last ?? response.header.revision);
    if (!response.created && !response.fragment && reached > this.#revision) {
      this.#revision = reached;
    }
  }

  #put(name: string, bytes: Buffer, revision: number): void {
    const value = this.#options.decode(name, bytes);
    if (value === undefined) {
      this.#options.log.warn({ key: this.#options.prefix + name, revision }, 'junk in etcd; skipped');
      this.#remove(name);
      this.#junk.set(name, revision);
      return;
    }
    this.#junk.delete(name);
    const entry = { value, revision };
    this.#entries.set(name, entry);
    this.#options.onChange(name, entry);
  }

  #remove(name: string): void {
    this.#junk.delete(name);
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
