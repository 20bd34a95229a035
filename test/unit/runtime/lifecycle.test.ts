import test, { type ExecutionContext } from 'ava';
import { type Component, exitCodes, runUntilSignal } from '../../../services/runtime/lifecycle.js';
import { ManualClock, turns } from '../../support/clock.js';
import { openLog } from '../../support/replica.js';

const never = new Promise<void>(() => {});

/** Runs a component in this process; signals are emitted, not sent. */
function run(t: ExecutionContext, component: Partial<Component>) {
  const { log, lines } = openLog();
  const clock = new ManualClock();
  const events = ['SIGTERM', 'SIGINT', 'SIGUSR2', 'disconnect'] as const;
  const before = events.map((event) => process.listeners(event as 'SIGTERM'));
  t.teardown(() => {
    for (const [i, event] of events.entries()) {
      for (const listener of process.listeners(event as 'SIGTERM')) {
        if (!before[i]?.includes(listener)) {
          process.off(event, listener);
        }
      }
    }
  });
  const whole = { start: async () => {}, stop: async () => {}, ...component };
  const ended = runUntilSignal(whole, { log, stopDeadlineMs: 5000, clock });
  return { ended, clock, lines, messages: () => lines.map(({ msg }) => msg) };
}

test.serial('a signal stops the component in order', async (t) => {
  const { ended, lines } = run(t, {});
  await turns();
  process.emit('SIGTERM');
  t.is(await ended, exitCodes.ok);
  t.like(lines[0], { msg: 'stopping', signal: 'SIGTERM', deadlineMs: 5000 });
});

test.serial(
  'a signal during the start is an orderly stop, and a start that then fails is logged',
  async (t) => {
    let fail = (_: Error) => {};
    const start = new Promise<void>((_, reject) => {
      fail = reject;
    });
    const { ended, lines } = run(t, {
      start: () => start,
      stop: async () => {
        fail(new Error('interrupted'));
        await turns();
      },
    });
    process.emit('SIGINT');
    t.is(await ended, exitCodes.ok);
    const [line] = lines.filter(({ msg }) => msg === 'the start was still under way, and failed');
    t.like(line?.['err'], { message: 'interrupted' });
  },
);

test.serial('SIGUSR2 has a component hand over, if it can', async (t) => {
  const ended: string[] = [];
  const stop = async () => ended.push('stop');
  const able = run(t, { stop, handOver: async () => ended.push('handOver') });
  await turns();
  process.emit('SIGUSR2');
  t.is(await able.ended, exitCodes.ok);
  t.deepEqual(ended, ['handOver']);
  const listeners = process.listenerCount('SIGUSR2');
  const unable = run(t, { stop });
  await turns();
  t.is(process.listenerCount('SIGUSR2'), listeners, 'the signal does what it does to any process');
  process.emit('SIGTERM');
  t.is(await unable.ended, exitCodes.ok);
});

test.serial('a second signal ends a stop that takes long', async (t) => {
  const { ended, messages } = run(t, { stop: () => never });
  await turns();
  process.emit('SIGTERM');
  await turns();
  process.emit('SIGTERM');
  t.is(await ended, exitCodes.failed);
  t.true(messages().includes('stopping at once'));
});

test.serial('the deadline ends a stop that takes longer', async (t) => {
  const { ended, clock, lines } = run(t, { stop: () => never });
  await turns();
  process.emit('SIGTERM');
  await turns();
  clock.advance(5000);
  t.is(await ended, exitCodes.failed);
  t.true(lines.some(({ reason }) => reason === 'the shutdown deadline has passed'));
});

test.serial('a stop that fails is logged, and is a failure', async (t) => {
  const { ended, lines } = run(t, {
    stop: async () => {
      throw new Error('stuck');
    },
  });
  await turns();
  process.emit('SIGTERM');
  t.is(await ended, exitCodes.failed);
  t.true(lines.some(({ msg, level }) => msg === 'stopping failed' && level === 50));
});

test.serial('a start that fails is the error, though the stop after it fails too', async (t) => {
  let stops = 0;
  const { ended } = run(t, {
    start: async () => {
      throw new Error('port taken');
    },
    stop: async () => {
      stops++;
      throw new Error('stuck');
    },
  });
  await t.throwsAsync(ended, { message: 'port taken' });
  t.is(stops, 1);
});
