import test from 'ava';
import type { EtcdConnection } from '../../../services/etcd/connection.js';
import { LeaseGoneError } from '../../../services/etcd/errors.js';
import { GroupCommit, maxWaiting } from '../../../services/etcd/group-commit.js';
import type { Operation, Txn, TxnResult } from '../../../services/etcd/txn-codec.js';
import { turns } from '../../support/clock.js';

interface Commit {
  readonly operations: readonly Operation[];
  readonly answer: () => void;
  readonly fail: (error: Error) => void;
}

/** An etcd that keeps commits until they are answered. Each operation is answered with its own key. */
class HeldEtcd {
  readonly commits: Commit[] = [];
  /** Answer at once. */
  open = false;

  txn({ success }: Txn): Promise<TxnResult> {
    return new Promise((resolve, reject) => {
      const answer = () =>
        resolve({ succeeded: true, responses: success.map(answerOf) } as unknown as TxnResult);
      this.commits.push({ operations: success, answer, fail: reject });
      if (this.open) {
        answer();
      }
    });
  }
}

const answerOf = ({ request_txn, request_range }: Operation) =>
  request_txn
    ? { response_txn: { succeeded: true, key: request_txn.success?.[0]?.request_put?.key?.toString() } }
    : { response_range: { kvs: [{ key: request_range?.key.toString() }] } };

function start() {
  const etcd = new HeldEtcd();
  return { etcd, group: new GroupCommit(etcd as unknown as EtcdConnection) };
}

function write(group: GroupCommit, key: string, bytes = 0): Promise<unknown> {
  const bufferedKey = Buffer.from(key);
  return group.write({
    key,
    compare: [{ result: 'Equal', target: 'Mod', key: bufferedKey, mod_revision: 0 }],
    success: [{ request_put: { key: bufferedKey, value: Buffer.alloc(bytes) } }],
    failure: [{ request_range: { key: bufferedKey } }],
  });
}

const keysOf = ({ operations }: Commit) =>
  operations.map(
    ({ request_txn, request_range }) =>
      request_txn?.success?.[0]?.request_put?.key?.toString() ?? request_range?.key?.toString(),
  );

/** Bytes of all keys and values of one commit. */
function size({ operations }: Commit): number {
  let sum = 0;
  const count = ({ request_put, request_range, request_txn }: Operation) => {
    sum += (request_put?.key?.length ?? 0) + (request_put?.value?.length ?? 0);
    sum += request_range?.key?.length ?? 0;
    for (const { key } of request_txn?.compare ?? []) {
      sum += key?.length ?? 0;
    }
    for (const each of [...(request_txn?.success ?? []), ...(request_txn?.failure ?? [])]) {
      count(each);
    }
  };
  operations.forEach(count);
  return sum;
}

test('what comes alone leaves at once', async (t) => {
  const { etcd, group } = start();
  const writing = write(group, 'a');
  await turns(1);
  t.deepEqual(etcd.commits.map(keysOf), [['a']]);
  etcd.commits[0]?.answer();
  t.like(await writing, { key: 'a' });
});

test('what comes together leaves together, and each hears its own answer', async (t) => {
  const { etcd, group } = start();
  etcd.open = true;
  const keys = Array.from({ length: 50 }, (_, i) => `k${i}`);
  const answers = await Promise.all([
    ...keys.map((key) => write(group, key)),
    ...keys.map(async (key) => (await group.read({ key: Buffer.from(key) }))[0]),
  ]);
  t.is(etcd.commits.length, 1);
  t.deepEqual(
    answers.map((answer) => (answer as { key: unknown }).key),
    [...keys, ...keys],
  );
  t.deepEqual(group.counters, { commits: 1, operations: 100, failedCommits: 0 });
});

test('a commit carries at most 120 operations', async (t) => {
  const { etcd, group } = start();
  etcd.open = true;
  await Promise.all(Array.from({ length: 1000 }, (_, i) => write(group, `k${i}`)));
  t.true(Math.max(...etcd.commits.map(({ operations }) => operations.length)) <= 120);
  t.is(etcd.commits.length, 9);
});

test('a commit carries at most 1 MiB, keys and comparisons included', async (t) => {
  const { etcd, group } = start();
  etcd.open = true;
  const long = 'k'.repeat(4000);
  await Promise.all(
    Array.from({ length: 300 }, (_, i) => write(group, `${long}${i}`, i % 3 === 0 ? 20_000 : 0)),
  );
  for (const commit of etcd.commits) {
    t.true(size(commit) <= 1024 * 1024, `${size(commit)} bytes`);
  }
  t.true(etcd.commits.length < 12, `${etcd.commits.length} commits`);
});

test('one that is larger than a commit leaves alone', async (t) => {
  const { etcd, group } = start();
  etcd.open = true;
  await Promise.all([write(group, 'a'), write(group, 'large', 1_200_000), write(group, 'b')]);
  t.deepEqual(etcd.commits.map(keysOf), [['a'], ['large'], ['b']]);
});

test('while a commit is under way, those that come gather; many do not wait for it', async (t) => {
  const { etcd, group } = start();
  const writes: Promise<unknown>[] = [];
  const come = async (count: number) => {
    for (let i = 0; i < count; i++) {
      writes.push(write(group, `k${writes.length}`));
    }
    await turns();
  };
  await come(1);
  await come(20);
  t.is(etcd.commits.length, 1, 'one is on its way, the rest waits for it');
  t.is(group.waiting, 20);
  etcd.commits[0]?.answer();
  await turns();
  t.is(etcd.commits[1]?.operations.length, 20);
  await come(120);
  t.is(etcd.commits[2]?.operations.length, 120, 'a full one goes beside the first');
  for (let i = 0; i < 10; i++) {
    await come(120);
  }
  t.is(etcd.commits.length, 5, 'four at once, not more');
  etcd.open = true;
  for (const { answer } of etcd.commits) {
    answer();
  }
  await Promise.all(writes);
});

test('no commit writes a key twice, and the writes of a key keep their order', async (t) => {
  const { etcd, group } = start();
  etcd.open = true;
  const order: string[] = [];
  await Promise.all(
    Array.from({ length: 30 }, async (_, i) => {
      await write(group, `k${i % 3}`);
      order.push(`k${i % 3}:${i}`);
    }),
  );
  for (const commit of etcd.commits) {
    t.is(new Set(keysOf(commit)).size, commit.operations.length);
  }
  for (const key of ['k0', 'k1', 'k2']) {
    const numbers = order.filter((each) => each.startsWith(key)).map((each) => Number(each.slice(3)));
    t.deepEqual(
      numbers,
      numbers.toSorted((a, b) => a - b),
    );
    t.is(numbers.length, 10);
  }
});

test('a commit of reads alone carries nothing but ranges: it costs etcd no log entry', async (t) => {
  const { etcd, group } = start();
  etcd.open = true;
  await Promise.all(Array.from({ length: 10 }, () => group.read({ key: Buffer.from('same') })));
  t.is(etcd.commits.length, 1);
  for (const operation of etcd.commits[0]?.operations ?? []) {
    t.deepEqual(Object.keys(operation), ['request_range']);
  }
});

test('when a commit fails, what became of its operations is unknown, and others go on', async (t) => {
  const { etcd, group } = start();
  const failing = Promise.allSettled([write(group, 'a'), group.read({ key: Buffer.from('b') })]);
  await turns();
  etcd.commits[0]?.fail(new Error('4 DEADLINE_EXCEEDED: Deadline exceeded'));
  for (const outcome of await failing) {
    t.like(outcome, {
      status: 'rejected',
      reason: {
        code: 'unavailable',
        message: 'etcd did not answer while committing: 4 DEADLINE_EXCEEDED: Deadline exceeded',
      },
    });
  }
  t.is(group.counters.failedCommits, 1);
  etcd.open = true;
  t.like(await write(group, 'a'), { key: 'a' });
});

test('a lease that is gone is told to the writes; the reads of that commit go again', async (t) => {
  const { etcd, group } = start();
  const writing = t.throwsAsync(write(group, 'a'), { instanceOf: LeaseGoneError });
  const reading = group.read({ key: Buffer.from('b') });
  await turns();
  etcd.commits[0]?.fail(new Error('5 NOT_FOUND: etcdserver: requested lease not found'));
  await writing;
  await turns();
  t.deepEqual(etcd.commits.slice(1).map(keysOf), [['b']]);
  etcd.commits[1]?.answer();
  t.like((await reading)[0], { key: 'b' } as object);
});

test('the queue is bounded: what does not fit is refused at once', async (t) => {
  const { etcd, group } = start();
  const reads = Array.from({ length: maxWaiting }, (_, i) => group.read({ key: Buffer.from(`${i}`) }));
  await t.throwsAsync(write(group, 'one-more'), {
    code: 'overloaded',
    message: /this replica has 20000 operations waiting for etcd, its limit; try another replica/,
  });
  etcd.open = true;
  await Promise.all(reads);
  t.is(group.waiting, 0);
  t.like(await write(group, 'later'), { key: 'later' });
});
