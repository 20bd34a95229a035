import { EventEmitter } from 'node:events';
import type { CallOptions } from '@grpc/grpc-js';
import type {
  IDuplexStream,
  ILeaseKeepAliveRequest,
  ILeaseKeepAliveResponse,
  IRangeRequest,
  IRangeResponse,
  IWatchRequest,
  IWatchResponse,
} from 'etcd3';
import { EtcdConnection } from '../../services/etcd/connection.js';
import type { Txn, TxnResult } from '../../services/etcd/txn-codec.js';

/** The fate of one call: it succeeds, is never sent, is executed but not answered, or is executed after the caller gave up. */
export type Fate = 'well' | 'unsent' | 'unanswered' | 'late';
export type CallKind = 'range' | 'txn' | 'grant' | 'revoke';
type Direction = 'requests' | 'answers';

const lost = () => new Error('14 UNAVAILABLE: the test lost it');

/** A connection to a real server whose calls and streams fail on demand, without waiting in real time. */
export class FaultyConnection extends EtcdConnection {
  /** Decides the fate of each call. */
  fate: (kind: CallKind) => Fate = () => 'well';
  /** Calls that are executed late wait for this gate. */
  untilLate: () => Promise<void> = () => Promise.resolve();
  /** Called with what watches and lists have delivered: one key, or all keys with a prefix, up to this revision. */
  onNews: (key: string, revision: number) => void = () => {};
  readonly #streams = new Set<FaultyStream>();
  readonly #held = new Set<Direction>();
  #away = false;
  #calls = 0;
  #break = new AbortController();

  constructor(endpoint: string) {
    super({ endpoints: [endpoint], timeoutMs: 10_000 });
  }

  /** True while an answer is on its way: to a call, even one that was given up, or to a message on a stream. */
  get busy(): boolean {
    return this.#calls > 0 || [...this.#streams].some(({ unanswered }) => unanswered > 0);
  }

  /** Number of open watches. */
  get openWatches(): number {
    return [...this.#streams].filter(({ isWatch }) => isWatch).length;
  }

  /** Breaks all streams and calls under way; new ones succeed. */
  drop(): void {
    const broken = this.#break;
    this.#break = new AbortController();
    broken.abort();
    for (const stream of [...this.#streams]) {
      stream.break();
    }
  }

  /** Existing streams silently carry nothing any more; new ones succeed. */
  silence(): void {
    for (const stream of this.#streams) {
      stream.silence();
    }
  }

  /** Breaks everything, and fails everything new. */
  cut(): void {
    this.#away = true;
    this.drop();
  }

  /** Streams stay open, and silently hold back what they carry in this direction. */
  hold(direction: Direction): void {
    this.#held.add(direction);
    for (const stream of this.#streams) {
      stream.hold(direction);
    }
  }

  /** Undoes all of the above and delivers what was held back. */
  restore(): void {
    this.#away = false;
    this.#held.clear();
    for (const stream of [...this.#streams]) {
      stream.release();
    }
  }

  override async range(request: IRangeRequest, options?: CallOptions): Promise<IRangeResponse> {
    const answer = await this.#call('range', () => super.range(request, options));
    this.onNews(String(request.key), Number(answer.header.revision));
    return answer;
  }

  override txn(request: Txn, options?: CallOptions): Promise<TxnResult> {
    return this.#call('txn', () => super.txn(request, options));
  }

  override grantLease(ttlSeconds: number): Promise<string> {
    return this.#call('grant', () => super.grantLease(ttlSeconds));
  }

  override revokeLease(id: string): Promise<unknown> {
    return this.#call('revoke', () => super.revokeLease(id));
  }

  override keepLeaseAlive(): Promise<IDuplexStream<ILeaseKeepAliveRequest, ILeaseKeepAliveResponse>> {
    return this.#open(() => super.keepLeaseAlive());
  }

  override async watch(): Promise<IDuplexStream<IWatchRequest, IWatchResponse>> {
    const stream = await this.#open(() => super.watch());
    stream.on('data', ({ created, events }) => {
      if (created) {
        (stream as unknown as FaultyStream).isWatch = true;
      }
      for (const { kv } of events) {
        this.onNews(kv.key.toString(), Number(kv.mod_revision));
      }
    });
    return stream;
  }

  async #call<T>(kind: CallKind, real: () => Promise<T>): Promise<T> {
    const fate = this.fate(kind);
    if (this.#away || fate === 'unsent') {
      throw lost();
    }
    if (fate === 'late') {
      this.#calls++;
      void this.untilLate()
        .then(real)
        .catch(() => undefined)
        .finally(() => {
          this.#calls--;
        });
      throw lost();
    }
    const answer = await this.#unlessBroken(real);
    if (fate === 'unanswered') {
      throw lost();
    }
    return answer;
  }

  #unlessBroken<T>(real: () => Promise<T>): Promise<T> {
    const { signal } = this.#break;
    this.#calls++;
    return new Promise<T>((resolve, reject) => {
      const broken = () => reject(lost());
      signal.addEventListener('abort', broken, { once: true });
      real()
        .then(resolve, reject)
        .finally(() => signal.removeEventListener('abort', broken));
    }).finally(() => {
      this.#calls--;
    });
  }

  async #open<Q, A>(real: () => Promise<IDuplexStream<Q, A>>): Promise<IDuplexStream<Q, A>> {
    if (this.#away) {
      throw lost();
    }
    const inner = await this.#unlessBroken(real);
    const stream = new FaultyStream(inner as never);
    this.#streams.add(stream);
    stream.once('over', () => this.#streams.delete(stream));
    for (const direction of this.#held) {
      stream.hold(direction);
    }
    return stream as never;
  }
}

type Inner = EventEmitter & { write(message: unknown): void; cancel(): void };

class FaultyStream extends EventEmitter {
  readonly #inner: Inner;
  readonly #held = new Map<Direction, (() => void)[]>();
  #over = false;
  #isSilent = false;
  unanswered = 0;
  /** True for a watch that has begun. */
  isWatch = false;

  constructor(inner: Inner) {
    super();
    this.#inner = inner;
    // Like a stream of a real connection, it can break before anyone listens.
    this.on('error', () => {});
    inner.on('data', (message) => {
      this.unanswered = Math.max(0, this.unanswered - 1);
      this.#through('answers', () => {
        if (!this.#over) {
          this.emit('data', message);
        }
      });
    });
    inner.on('end', () => this.#through('answers', () => this.#end('end')));
    inner.on('error', (error) => this.#through('answers', () => this.#end('error', error)));
  }

  write(message: unknown): void {
    this.#through('requests', () => {
      if (this.#over) {
        return;
      }
      this.unanswered++;
      this.#inner.write(message);
    });
  }

  cancel(): void {
    this.#inner.cancel();
    // Like grpc-js: later, and regardless of what is held back.
    setImmediate(() => this.#end('error', new Error('1 CANCELLED: Cancelled on client')));
  }

  silence(): void {
    this.#isSilent = true;
    this.unanswered = 0;
  }

  hold(direction: Direction): void {
    if (!this.#held.has(direction)) {
      this.#held.set(direction, []);
    }
  }

  release(): void {
    const kept = [...this.#held.values()].flat();
    this.#held.clear();
    for (const pass of kept) {
      pass();
    }
  }

  break(): void {
    this.#held.clear();
    this.#end('error', lost());
    this.#inner.cancel();
  }

  #through(direction: Direction, pass: () => void): void {
    if (this.#isSilent) {
      return;
    }
    const kept = this.#held.get(direction);
    if (kept) {
      kept.push(pass);
    } else {
      pass();
    }
  }

  #end(event: 'end' | 'error', error?: Error): void {
    if (this.#over) {
      return;
    }
    this.#over = true;
    this.emit(event, error);
    this.emit('over');
  }
}
