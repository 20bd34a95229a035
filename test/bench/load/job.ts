/** What the load generator is told to do, and what it answers. Everything crosses a process border as JSON. */

/** Call-IDs `<prefix>-<number, ten digits>@bench`. */
export interface Calls {
  readonly prefix: string;
  /** First number. */
  readonly from: number;
  /** Numbers in use before they begin again; undefined: every operation is about a new call. */
  readonly count?: number | undefined;
}

export type Loop =
  /** So many under way at any time. */
  | {
      readonly kind: 'closed';
      readonly concurrency: number;
      readonly warmupMs: number;
      readonly durationMs: number;
    }
  /** So many begun each second, whatever the answers do. Latency counts from when each was due. */
  | {
      readonly kind: 'open';
      readonly perSecond: number;
      readonly warmupMs: number;
      readonly durationMs: number;
    }
  /** So many in all. */
  | { readonly kind: 'count'; readonly concurrency: number; readonly operations: number };

/** What a sampled answer must say; one that says something else counts as unexpected. */
export interface Expectation {
  readonly origin: 'new' | 'existing';
}

export type Target =
  | {
      readonly kind: 'unary';
      readonly ports: readonly number[];
      readonly method: 'Select' | 'Lookup' | 'Release' | 'Echo';
      readonly connections: number;
      readonly calls: Calls;
      readonly expect?: Expectation | undefined;
    }
  | {
      readonly kind: 'stream';
      readonly ports: readonly number[];
      readonly method: 'SelectStream' | 'EchoStream';
      readonly connections: number;
      readonly calls: Calls;
      readonly expect?: Expectation | undefined;
    }
  /** Create-if-absent transactions: one call each, or `batch` nested ones. */
  | {
      readonly kind: 'etcd';
      readonly endpoint: string;
      readonly prefix: string;
      readonly calls: Calls;
      readonly batch: number;
      /** Values in turn, base64. */
      readonly values: readonly string[];
      /** Compared in each transaction, as a guard of a relay is. */
      readonly guard?: { readonly key: string; readonly revision: number } | undefined;
      readonly ttlSeconds: number;
    }
  /** The very bytes of one create-if-absent transaction per call, over the same HTTP/2 client as `unary`. */
  | {
      readonly kind: 'etcd-bytes';
      readonly port: number;
      readonly prefix: string;
      readonly calls: Calls;
      readonly value: string;
      readonly lease: string;
      readonly guard: { readonly key: string; readonly revision: number };
    }
  /** ng commands to a gateway. This process also is the relay that they are forwarded to. */
  | {
      readonly kind: 'ng';
      readonly port: number;
      readonly relayPort: number;
      readonly calls: Calls;
      /** In turn. */
      readonly commands: readonly NgCommand[];
    };

/** `reoffer` carries both tags, `offer` only one: it may begin a call. */
export type NgCommand = 'offer' | 'reoffer' | 'answer' | 'query' | 'delete';

export interface Job {
  readonly target: Target;
  readonly loop: Loop;
  /** Processes whose CPU time during the measurement is told. */
  readonly watch?: readonly number[] | undefined;
}

export interface LoadResult {
  /** Calls asked about, warm-up left out. */
  readonly calls: number;
  readonly errors: number;
  /** Sampled answers that were not as expected. */
  readonly unexpected: number;
  readonly seconds: number;
  readonly perSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** CPU time of each watched process, s. */
  readonly cpuSeconds: readonly number[];
  /** The load generator's own, s. */
  readonly ownCpuSeconds: number;
  /** Bytes of one answer's message. */
  readonly answerBytes: number;
}

export type Answer = { readonly result: LoadResult } | { readonly failure: string };
