import test from 'ava';
import { sleep, systemClock } from '../../../services/runtime/clock.js';
import { ManualClock, turns } from '../../support/clock.js';

function asleep(clock: ManualClock, delayMs: number, signal?: AbortSignal) {
  let awake = false;
  void sleep(clock, delayMs, signal).then(() => {
    awake = true;
  });
  return async () => {
    await turns();
    return !awake;
  };
}

test('a sleep ends when its time has come', async (t) => {
  const clock = new ManualClock();
  const sleeps = asleep(clock, 100);
  clock.advance(99);
  t.true(await sleeps());
  clock.advance(1);
  t.false(await sleeps());
});

test('a sleep ends at once when its signal aborts, now or before', async (t) => {
  const clock = new ManualClock();
  const controller = new AbortController();
  const sleeps = asleep(clock, 100, controller.signal);
  t.true(await sleeps());
  controller.abort();
  t.false(await sleeps());
  t.false(await asleep(clock, 100, controller.signal)());
});

test('a task that was canceled does not run', async (t) => {
  const ran: string[] = [];
  const cancel = systemClock.after(1, () => ran.push('canceled'));
  cancel();
  await new Promise<void>((resolve) => {
    // The system clock's timers keep no process alive; this one's does.
    const awake = setTimeout(() => {}, 60_000);
    systemClock.after(5, () => {
      clearTimeout(awake);
      resolve();
    });
  });
  t.deepEqual(ran, []);
});

test('however many sleep until the same end, Node warns of no leak', async (t) => {
  const warnings: string[] = [];
  const hear = ({ message }: Error) => void warnings.push(message);
  process.on('warning', hear);
  t.teardown(() => void process.off('warning', hear));
  const end = new AbortController();
  const sleeping = Array.from({ length: 20 }, () => sleep(systemClock, 1e6, end.signal));
  end.abort();
  await Promise.all(sleeping);
  await new Promise((resolve) => setImmediate(resolve));
  t.deepEqual(warnings, []);
});
