import type { Etcd3, IWatchRequest, IWatchResponse } from 'etcd3';
import { connect } from '../../support/etcd-cluster.js';
import type { Scope } from '../../support/process.js';
import type { Journal } from './journal.js';
import { nowMs } from './now.js';
import type { LogRecord } from './records.js';

const tickPeriodMs = 250;
const tickTimeoutMs = 1000;
/** A watch that is silent for this long while etcd's revision advances is replaced. */
const silenceMs = 2000;
const createTimeoutMs = 2000;

/**
 * Records every event below a prefix, and periodically etcd's revision. It connects to the members directly, one after the
 * other; a new watch begins at the last revision that arrived. After etcd was wiped or restored, its revisions are recorded as
 * continuing those before.
 */
export class WatchLog {
  readonly #clients: readonly Etcd3[];
  readonly #prefix: Buffer;
  readonly #journal: Journal<LogRecord>;
  /** Aborted while etcd must not be watched. */
  #stopping = new AbortController();
  /** Keys whose event at the revision reached is recorded: a new watch delivers that revision again. */
  #heard = new Set<string>();
  #reached = 0;
  /** Recorded revision of what etcd had when the log, or this history of etcd, began. */
  #base = 0;
  /** Recorded revisions minus etcd's own. */
  #offset = 0;
  #known = 0;
  #behindSinceMs = 0;
  #running: Promise<unknown> = Promise.resolve();

  constructor(scope: Scope, endpoints: readonly string[], prefix: string, journal: Journal<LogRecord>) {
    this.#clients = endpoints.map((endpoint) => connect(scope, endpoint));
    this.#prefix = Buffer.from(`${prefix}/`);
    this.#journal = journal;
    scope.teardown(() => this.stop());
  }

  /** All events up to this revision, as etcd counts, are recorded. */
  get reachedInEtcd(): number {
    return this.#reached - this.#offset;
  }

  /** What etcd counts as this, as it is recorded. */
  recorded(revisionInEtcd: number): number {
    return revisionInEtcd + this.#offset;
  }

  async start(): Promise<void> {
    for (let member = 0; this.#known === 0; member++) {
      await this.#tick(member);
    }
    this.#reached = this.#known;
    this.#base = this.#known;
    this.#journal.write({ type: 'start', atMs: nowMs(), revision: this.#known });
    this.#run();
  }

  /**
   * Goes on after `stop`, where etcd has another history.
   * @param revisionInEtcd of what it came back with @param restoredFrom which recorded revision that was; 0 if it is empty
   */
  continueFrom(revisionInEtcd: number, restoredFrom: number): void {
    const revision = Math.max(this.#reached, this.#known) + 1;
    this.#offset = revision - revisionInEtcd;
    this.#base = revision;
    this.#known = revision;
    this.#reached = revision;
    this.#heard = new Set();
    this.#behindSinceMs = 0;
    this.#journal.write({ type: 'epoch', atMs: nowMs(), revision, restoredFrom });
    this.#stopping = new AbortController();
    this.#run();
  }

  #run(): void {
    this.#running = Promise.all([this.#watchAll(), this.#tickAll()]);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  /** Resolves with true when all events until now are recorded, or with false after the timeout. */
  async catchUp(timeoutMs: number): Promise<boolean> {
    const deadlineMs = performance.now() + timeoutMs;
    let asked = 0;
    for (let member = 0; performance.now() < deadlineMs; member++) {
      if (asked === 0) {
        asked = (await this.#tick(member)) ?? 0;
      }
      if (asked > 0 && this.#reached >= asked) {
        return true;
      }
      await pause(50);
    }
    return false;
  }

  async #watchAll(): Promise<void> {
    const { signal } = this.#stopping;
    for (let member = 0; !signal.aborted; member++) {
      await this.#watch(this.#clients[member % this.#clients.length] as Etcd3).catch(() => undefined);
      await pause(100);
    }
  }

  /** Resolves or rejects when the watch has ended. */
  async #watch(client: Etcd3): Promise<void> {
    const stream = await client.watchClient.watch();
    const signal = this.#stopping.signal;
    let timer: NodeJS.Timeout | undefined;
    let stop = () => {};
    try {
      await new Promise<void>((resolve, reject) => {
        stop = resolve;
        signal.addEventListener('abort', stop, { once: true });
        const startedAtMs = performance.now();
        let isCreated = false;
        timer = setInterval(() => {
          const isLate = !isCreated && performance.now() - startedAtMs > createTimeoutMs;
          if (isLate || this.#silent()) {
            reject(new Error('silent'));
          }
        }, 200);
        stream.on('error', reject);
        stream.on('end', () => reject(new Error('ended')));
        stream.on('data', (response: IWatchResponse) => {
          if (response.canceled) {
            return reject(new Error(`canceled: ${response.cancel_reason}`));
          }
          isCreated ||= response.created;
          this.#write(response);
        });
        const end = Buffer.from(this.#prefix);
        end[end.length - 1] = (end.at(-1) as number) + 1;
        const request: IWatchRequest = {
          create_request: {
            key: this.#prefix,
            range_end: end,
            start_revision: String(Math.max(this.#reached, this.#base + 1) - this.#offset),
            progress_notify: true,
          },
        };
        stream.write(request);
      });
    } finally {
      clearInterval(timer);
      signal.removeEventListener('abort', stop);
      // Later events will be delivered by the next watch.
      (stream as unknown as NodeJS.EventEmitter).removeAllListeners('data');
      (stream as unknown as NodeJS.EventEmitter).removeAllListeners('error').on('error', () => {});
      stream.cancel();
    }
  }

  #write(response: IWatchResponse): void {
    const atMs = nowMs();
    for (const { type, kv } of response.events) {
      const revision = this.recorded(Number(kv.mod_revision));
      const key = kv.key.toString().slice(this.#prefix.length);
      if (
        revision <= this.#base ||
        revision < this.#reached ||
        (revision === this.#reached && this.#heard.has(key))
      ) {
        continue;
      }
      if (revision > this.#reached) {
        this.#reached = revision;
        this.#heard = new Set();
      }
      this.#heard.add(key);
      // Load reports are most of the events, and no guarantee concerns them.
      if (key.startsWith('load/')) {
        continue;
      }
      const version = Number(kv.version);
      this.#journal.write(
        type === 'Delete'
          ? { type: 'delete', revision, key, version, atMs }
          : { type: 'put', revision, key, value: kv.value.toString(), version, atMs },
      );
    }
  }

  #silent(): boolean {
    if (this.#reached >= this.#known) {
      this.#behindSinceMs = 0;
    } else {
      this.#behindSinceMs ||= performance.now();
    }
    return this.#behindSinceMs > 0 && performance.now() - this.#behindSinceMs > silenceMs;
  }

  async #tickAll(): Promise<void> {
    const { signal } = this.#stopping;
    for (let member = 0; !signal.aborted; ) {
      if ((await this.#tick(member)) === undefined) {
        member++;
      }
      await pause(tickPeriodMs);
    }
  }

  /** Reads the revision from this member; undefined if it does not answer. */
  async #tick(member: number): Promise<number | undefined> {
    const client = this.#clients[member % this.#clients.length] as Etcd3;
    const askedAtMs = nowMs();
    const { signal } = this.#stopping;
    if (signal.aborted) {
      return undefined;
    }
    try {
      const { header } = await client.kv.range(
        { key: this.#prefix, count_only: true },
        { deadline: Date.now() + tickTimeoutMs },
      );
      if (signal.aborted) {
        return undefined;
      }
      const revision = this.recorded(Number(header.revision));
      this.#known = Math.max(this.#known, revision);
      this.#journal.write({ type: 'tick', askedAtMs, atMs: nowMs(), revision });
      return revision;
    } catch {
      return undefined;
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
