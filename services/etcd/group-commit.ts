import { HoldfastError } from '../domain/error.js';
import type { Clock } from '../runtime/clock.js';
import type { EtcdConnection } from './connection.js';
import { etcdUnavailable, isLeaseGone, isTooLargeToReceive, LeaseGoneError } from './errors.js';
import type { KeyValue, Operation, OperationResult, Range, Txn, TxnResult } from './txn-codec.js';

/** A transaction that writes one key: `success` if all of `compare` hold, else `failure`. */
export interface GuardedWrite extends Required<Txn> {
  /** The written key. One commit carries at most one write of a key: etcd refuses more. */
  readonly key: string;
}

interface Waiting {
  readonly operation: { key: string; request: Operation; bytes: number };
  readonly resolve: (result: OperationResult) => void;
  readonly reject: (error: unknown) => void;
}

/** Hears how long etcd took to answer each transaction that it answered. */
export interface CommitTiming {
  readonly clock: Clock;
  readonly answered: (durationMs: number) => void;
}

/** etcd allows 128 operations in a transaction, less those of its largest nested one: up to 3 here. */
const maxOperations = 120;
/** etcd refuses requests above 1.5 MiB. */
const maxBytes = 1024 * 1024;
/** More than one, so that etcd is busy during the round trips. */
const maxInFlight = 4;
/** Operations that another commit waits for while some are in flight: few cost etcd as much as many. */
const minBatchInFlight = 32;
/** More waiting operations would only delay every answer. */
export const maxWaiting = 20_000;

/**
 * Carries many small guarded writes and reads in few etcd transactions, called commits. Each operation is nested in the
 * next commit. An operation that comes alone leaves at once; while commits are in flight, the next one fills.
 */
export class GroupCommit {
  readonly #connection: EtcdConnection;
  readonly #timing: CommitTiming | undefined;
  #waiting: Waiting[] = [];
  #inFlight = 0;
  #scheduled = false;
  /** Since the start, for metrics. */
  readonly counters = { commits: 0, operations: 0, failedCommits: 0 };

  constructor(connection: EtcdConnection, timing?: CommitTiming) {
    this.#connection = connection;
    this.#timing = timing;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** @throws HoldfastError `unavailable` (the outcome is unknown) or `overloaded`; LeaseGoneError (nothing was written) */
  write({ key, compare, success, failure }: GuardedWrite): Promise<TxnResult> {
    const request = { request_txn: { compare, success, failure } };
    return this.#submit(key, request, bytesOf(request.request_txn), txnOf);
  }

  /** A linearizable read. A commit of reads alone costs etcd no log entry. @throws as `write` */
  read(range: Range): Promise<readonly KeyValue[]> {
    return this.#submit('', { request_range: range }, range.key.length + overheadBytes, keyValuesOf);
  }

  /** Rejects the operations that have not been sent; they never are. */
  refuseWaiting(error: HoldfastError): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { reject } of waiting) {
      reject(error);
    }
  }

  #submit<T>(
    key: string,
    request: Operation,
    bytes: number,
    answerOf: (result: OperationResult) => T,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length >= maxWaiting) {
        throw new HoldfastError(
          'overloaded',
          `this replica has ${maxWaiting} operations waiting for etcd, its limit; try another replica`,
          { metadata: { limit: `${maxWaiting}` } },
        );
      }
      const answer = (result: OperationResult) => resolve(answerOf(result));
      this.#waiting.push({ operation: { key, request, bytes }, resolve: answer, reject });
      this.#schedule();
    });
  }

  /** After the current turn of the event loop, so that requests of one packet leave in one commit. */
  #schedule(): void {
    if (this.#scheduled || this.#inFlight >= maxInFlight || this.#waiting.length === 0) {
      return;
    }
    if (this.#inFlight > 0 && this.#waiting.length < minBatchInFlight) {
      return;
    }
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      const batch = this.#takeBatch();
      if (batch.length === 0) {
        return;
      }
      this.#inFlight++;
      void this.#commit(batch).finally(() => {
        this.#inFlight--;
        this.#schedule();
      });
      this.#schedule();
    });
  }

  /** As many waiting operations as fit a commit. A second write of a key waits for the next one. */
  #takeBatch(): Waiting[] {
    const keys = new Set<string>();
    const postponed: Waiting[] = [];
    const batch: Waiting[] = [];
    let bytes = 0;
    let taken = 0;
    for (const waiting of this.#waiting) {
      if (batch.length >= maxOperations) {
        break;
      }
      const { key, bytes: size } = waiting.operation;
      if (bytes + size > maxBytes && batch.length > 0) {
        break;
      }
      taken++;
      if (key !== '' && keys.has(key)) {
        postponed.push(waiting);
        continue;
      }
      if (key !== '') {
        keys.add(key);
      }
      bytes += size;
      batch.push(waiting);
    }
    this.#waiting = [...postponed, ...this.#waiting.slice(taken)];
    return batch;
  }

  async #commit(batch: Waiting[]): Promise<void> {
    this.counters.commits++;
    this.counters.operations += batch.length;
    const startedAtMs = this.#timing?.clock.monotonicMs() ?? 0;
    try {
      const { responses } = await this.#connection.txn({
        success: batch.map(({ operation }) => operation.request),
      });
      this.#timing?.answered(this.#timing.clock.monotonicMs() - startedAtMs);
      batch.forEach((waiting, i) => {
        waiting.resolve(responses[i] as OperationResult);
      });
    } catch (error) {
      this.counters.failedCommits++;
      if (isLeaseGone(error)) {
        return this.#withoutLease(batch);
      }
      if (isTooLargeToReceive(error) && batch.length > 1) {
        return this.#inHalves(batch);
      }
      const reason = etcdUnavailable('committing', error);
      for (const { reject } of batch) {
        reject(reason);
      }
    }
  }

  /**
   * Somebody put so much under one key that nobody could read the answer. The others need not suffer for it. What was
   * written already is found by its guards, as after any answer that was lost.
   */
  async #inHalves(batch: Waiting[]): Promise<void> {
    const half = Math.ceil(batch.length / 2);
    await Promise.all([this.#commit(batch.slice(0, half)), this.#commit(batch.slice(half))]);
  }

  /** A write named a lease that is gone, so nothing of the commit was done. The reads can go again. */
  #withoutLease(batch: readonly Waiting[]): void {
    const isWrite = ({ operation }: Waiting) => operation.key !== '';
    this.#waiting.unshift(...batch.filter((waiting) => !isWrite(waiting)));
    for (const { reject } of batch.filter(isWrite)) {
      reject(new LeaseGoneError());
    }
  }
}

const txnOf = ({ response_txn }: OperationResult) => response_txn as TxnResult;
const keyValuesOf = ({ response_range }: OperationResult) => response_range?.kvs ?? [];

/** An upper bound for the framing and revisions of one comparison or operation. */
const overheadBytes = 128;

function bytesOf({ compare, success, failure }: Required<Txn>): number {
  let sum = overheadBytes;
  for (const { key } of compare) {
    sum += overheadBytes + key.length;
  }
  for (const operations of [success, failure]) {
    for (const { request_put: put, request_range: range } of operations) {
      sum += overheadBytes + (put ? put.key.length + put.value.length : 0) + (range ? range.key.length : 0);
    }
  }
  return sum;
}
