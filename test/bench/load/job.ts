import type { ProtocolName } from '../../../services/control/protocol.js';

/** Jobs of the load generator, and their results. Both are JSON messages between processes. */

/** Call-IDs `<prefix>-<number, ten digits>@bench`. */
export interface Calls {
  readonly prefix: string;
  /** First number. */
  readonly from: number;
  /** How many numbers are used in turn; undefined if every operation is a new call. */
  readonly count?: number | undefined;
}

export type Loop =
  /** Closed loop: this many operations are always under way. */
  | {
      readonly kind: 'closed';
      readonly concurrency: number;
      readonly warmupMs: number;
      readonly durationMs: number;
    }
  /** Open loop: this many operations start each second. Latency counts from when each was due. */
  | {
      readonly kind: 'open';
      readonly perSecond: number;
      readonly warmupMs: number;
      readonly durationMs: number;
    }
  /** A fixed number of operations. */
  | { readonly kind: 'count'; readonly concurrency: number; readonly operations: number };

/** What a sampled answer must contain; otherwise it counts as unexpected. */
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
      /** Compared in each transaction, like the guard of a relay. */
      readonly guard?: { readonly key: string; readonly revision: number } | undefined;
      readonly ttlSeconds: number;
    }
  /** One create-if-absent transaction per call, as bytes over the same HTTP/2 client as `unary`. */
  | {
      readonly kind: 'etcd-bytes';
      readonly port: number;
      readonly prefix: string;
      readonly calls: Calls;
      readonly value: string;
      readonly lease: string;
      readonly guard: { readonly key: string; readonly revision: number };
    }
  /** Commands to a gateway. */
  | {
      readonly kind: 'control';
      readonly protocol: ProtocolName;
      readonly port: number;
      /** The load generator is also the relay that they are forwarded to; undefined if that is a process of its own. */
      readonly relayPort?: number | undefined;
      readonly calls: Calls;
      /** In turn. */
      readonly commands: readonly ControlCommand[];
    };

/** As in ng. `reoffer` has both tags; `offer` has only one, and can begin a call. */
export type ControlCommand = 'offer' | 'reoffer' | 'answer' | 'query' | 'delete';

export interface Job {
  readonly target: Target;
  readonly loop: Loop;
  /** Processes whose CPU time is measured. */
  readonly watch?: readonly number[] | undefined;
}

export interface LoadResult {
  /** Number of calls, without the warm-up. */
  readonly calls: number;
  readonly errors: number;
  /** Sampled answers that were unexpected. */
  readonly unexpected: number;
  readonly seconds: number;
  readonly perSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** CPU time of each watched process, s. */
  readonly cpuSeconds: readonly number[];
  /** CPU time of the load generator, s. */
  readonly ownCpuSeconds: number;
  /** Size of one answer's message, bytes. */
  readonly answerBytes: number;
}

export type Answer = { readonly result: LoadResult } | { readonly failure: string };
