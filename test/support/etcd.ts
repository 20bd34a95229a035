import test, { type ExecutionContext } from 'ava';
import type { Etcd3 } from 'etcd3';
import { EmbeddedEtcd, type EmbeddedEtcdOptions } from '../../services/embedded-etcd/embedded-etcd.js';
import { connect, startRealEtcd, type TestEtcd } from './etcd-cluster.js';
import type { Scope } from './process.js';
import { testWith } from './requirement.js';

export {
  connect,
  leaderOf,
  type RealEtcd,
  startRealEtcd,
  startRealEtcdCluster,
  type TestEtcd,
} from './etcd-cluster.js';

export async function startEmbeddedEtcd(
  scope: Scope,
  options: EmbeddedEtcdOptions = {},
): Promise<TestEtcd & { stop(): Promise<void> }> {
  const server = new EmbeddedEtcd(options);
  await server.start();
  scope.teardown(() => server.stop());
  return { endpoint: server.endpoint, stop: () => server.stop() };
}

/** A scope that ends after all tests of the file, for what they share. */
export function fileScope(): Scope {
  const tasks: (() => Promise<void> | void)[] = [];
  test.after.always('end what the tests shared', async () => {
    for (const task of tasks.reverse()) {
      await task();
    }
  });
  return { teardown: (task) => tasks.push(task) };
}

export type EtcdTestBody = (t: ExecutionContext, client: Etcd3, etcd: TestEtcd) => Promise<void>;

/**
 * Registers tests of behavior that every etcd must have: each runs on the embedded server and, where it is installed, on
 * the real one. The tests of a file share one server of each kind and run serially.
 */
export function behaviors(options: { readonly realArgs?: readonly string[] } = {}) {
  const scope = fileScope();
  const shared = <T>(start: () => Promise<T>) => {
    let started: Promise<T> | undefined;
    return () => {
      started ??= start();
      return started;
    };
  };
  const embedded = shared(() => startEmbeddedEtcd(scope));
  const real = shared(() => startRealEtcd(scope, options.realArgs));
  return (title: string, body: EtcdTestBody): void => {
    const run = (start: () => Promise<TestEtcd>) => async (t: ExecutionContext) => {
      const etcd = await start();
      await body(t, connect(t, etcd.endpoint), etcd);
    };
    test.serial(`embedded: ${title}`, run(embedded));
    testWith.serial(['etcd'], `etcd: ${title}`, run(real));
  };
}

/** The messages of a stream, in order, for a test to await one at a time. */
export class Inbox<T> {
  readonly #arrived: T[] = [];
  readonly #waiting: ((message: T) => void)[] = [];

  constructor(stream: { on(event: 'data', listener: (message: T) => void): unknown }) {
    stream.on('data', (message) => {
      const waiting = this.#waiting.shift();
      if (waiting) {
        waiting(message);
      } else {
        this.#arrived.push(message);
      }
    });
  }

  /** Resolves with the next message; fails after the timeout. */
  next(timeoutMs = 10_000): Promise<T> {
    const arrived = this.#arrived.shift();
    if (arrived !== undefined) {
      return Promise.resolve(arrived);
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`nothing arrived within ${timeoutMs} ms`)), timeoutMs);
      this.#waiting.push((message) => {
        clearTimeout(timer);
        resolve(message);
      });
    });
  }

  /** Messages that have arrived and were not taken yet. */
  get pending(): readonly T[] {
    return this.#arrived;
  }
}
