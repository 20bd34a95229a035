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

/** A scope that ends with the test file, for what its tests share. */
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
 * Registers behaviors that every etcd must show: each runs against the embedded server and, where it is installed,
 * against the real one. The tests of a file share one server of each kind and run one after the other.
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

/** What a stream has sent, in order, for a test to await one by one. */
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

  /** The next message, now or when it comes; fails after the timeout. */
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

  /** What has arrived and was not taken yet. */
  get pending(): readonly T[] {
    return this.#arrived;
  }
}
