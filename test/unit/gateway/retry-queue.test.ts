import test, { type ExecutionContext } from 'ava';
import { HoldfastError } from '../../../services/domain/error.js';
import {
  maxRetryBytes,
  maxRetryTasks,
  RetryQueue,
  type RetryTask,
} from '../../../services/gateway/retry-queue.js';
import { ManualClock, turns } from '../../support/clock.js';
import { openLog } from '../../support/replica.js';

function opened(t: ExecutionContext) {
  const clock = new ManualClock();
  const { log, lines } = openLog();
  const queue = new RetryQueue({ clock, log });
  t.teardown(() => queue.stop());
  return { clock, lines, queue };
}

/** An attempt that says what the list says, and `again` when it has ended. */
function attempts(...outcomes: Awaited<ReturnType<RetryTask['attempt']>>[]) {
  const counted = { count: 0 };
  return Object.assign(counted, {
    attempt: async () => outcomes[counted.count++] ?? 'again',
  });
}

test('an attempt that fails is made again, later and later, until it succeeds', async (t) => {
  const { clock, queue } = opened(t);
  const task = attempts('again', 'again', 'done');
  queue.schedule({ purpose: 'test', attempt: task.attempt });
  await turns();
  t.is(task.count, 1, 'the first one is made at once');
  await clock.pass(750);
  t.is(task.count, 2, 'the second one after 500 ms, give or take half');
  await clock.pass(1500);
  t.is(task.count, 3);
  t.is(queue.size, 0);
  t.deepEqual(queue.counters, { retried: 2, canceled: 0, abandoned: 0 });
});

test('it is abandoned after two minutes, and said so', async (t) => {
  const { clock, queue, lines } = opened(t);
  queue.schedule({ purpose: 'delete call a', attempt: async () => 'again' });
  await clock.pass(119_000);
  t.is(queue.counters.abandoned, 0);
  await clock.pass(10_000);
  t.is(queue.counters.abandoned, 1);
  t.is(queue.size, 0);
  t.is(lines.find(({ level }) => level === 40)?.['task'], 'delete call a');
});

test('an attempt that finds itself pointless is canceled', async (t) => {
  const { queue } = opened(t);
  queue.schedule({ purpose: 'delete', attempt: async () => 'canceled' });
  await turns();
  t.deepEqual(queue.counters, { retried: 0, canceled: 1, abandoned: 0 });
});

test('a registry that does not answer is asked again; a mistake of ours is logged and given up', async (t) => {
  const { clock, queue, lines } = opened(t);
  let tried = 0;
  queue.schedule({
    purpose: 'release',
    attempt: async () => {
      if (tried++ === 0) {
        throw new HoldfastError('unavailable', 'etcd is lost');
      }
      return 'done';
    },
  });
  queue.schedule({
    purpose: 'mistaken',
    attempt: async () => {
      throw new TypeError('undefined is not a function');
    },
  });
  await clock.pass(1000);
  t.is(tried, 2);
  t.deepEqual(queue.counters, { retried: 1, canceled: 0, abandoned: 1 });
  t.is(lines.find(({ level }) => level === 50)?.['task'], 'mistaken');
});

test('it has a bound; what comes beyond, or after the stop, is abandoned', async (t) => {
  const { queue } = opened(t);
  for (let i = 0; i < maxRetryTasks + 3; i++) {
    queue.schedule({ purpose: 'test', attempt: async () => 'again', delayMs: 1000 });
  }
  t.is(queue.size, maxRetryTasks);
  t.is(queue.counters.abandoned, 3);
  await queue.stop();
  t.is(queue.size, 0);
  t.is(queue.counters.abandoned, maxRetryTasks + 3);
  queue.schedule({ purpose: 'test', attempt: async () => 'done' });
  t.is(queue.counters.abandoned, maxRetryTasks + 4);
});

test('the requests that tasks keep have a bound together, which ends with them', async (t) => {
  const { clock, queue } = opened(t);
  const request = { body: Buffer.alloc(65_000) };
  const most = Math.floor(maxRetryBytes / (65_000 + 8));
  for (let i = 0; i < most + 3; i++) {
    queue.schedule({ purpose: 'test', request, delayMs: 1000, attempt: async () => 'done' });
  }
  t.is(queue.size, most);
  t.is(queue.counters.abandoned, 3);
  await clock.pass(1000);
  t.is(queue.size, 0);
  queue.schedule({ purpose: 'test', request, attempt: async () => 'done' });
  t.is(queue.counters.abandoned, 3);
});

test('a stop during an attempt waits for that, and for no pause after it', async (t) => {
  const { queue } = opened(t);
  let end = (_: 'again') => {};
  const attempt = () => new Promise<'again'>((resolve) => (end = resolve));
  queue.schedule({ purpose: 'test', attempt });
  const stopped = queue.stop();
  end('again');
  await stopped;
  t.is(queue.size, 0);
  t.is(queue.counters.abandoned, 1);
});
