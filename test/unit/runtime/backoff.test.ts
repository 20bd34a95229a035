import test from 'ava';
import { Backoff } from '../../../services/runtime/backoff.js';
import type { Clock } from '../../../services/runtime/clock.js';

/** Notes how long each pause is, and ends it at once. */
function noting(): { clock: Clock; pausesMs: number[] } {
  const pausesMs: number[] = [];
  const after = (delayMs: number, task: () => void) => {
    pausesMs.push(delayMs);
    queueMicrotask(task);
    return () => {};
  };
  return { clock: { monotonicMs: () => 0, wallMs: () => 0, after }, pausesMs };
}

test('pauses double up to the longest, and begin again after a success', async (t) => {
  const { clock, pausesMs } = noting();
  const backoff = new Backoff({ firstMs: 100, mostMs: 500 }, clock, () => 0.5);
  for (let i = 0; i < 4; i++) {
    await backoff.pause();
  }
  backoff.reset();
  await backoff.pause();
  t.deepEqual(pausesMs, [100, 200, 400, 500, 100]);
});

test('chance makes a pause up to half shorter or longer, never longer than the longest', async (t) => {
  for (const [random, expected] of [
    [0, [50, 100]],
    [0.999_999, [150, 200]],
  ] as const) {
    const { clock, pausesMs } = noting();
    const backoff = new Backoff({ firstMs: 100, mostMs: 200 }, clock, () => random);
    await backoff.pause();
    await backoff.pause();
    t.deepEqual(
      pausesMs.map((ms) => Math.round(ms)),
      expected,
    );
  }
});

test('a pause ends when its signal aborts', async (t) => {
  const stopped = new AbortController();
  const clock: Clock = { monotonicMs: () => 0, wallMs: () => 0, after: () => () => {} };
  const pause = new Backoff({ firstMs: 100, mostMs: 200 }, clock).pause(stopped.signal);
  stopped.abort();
  await t.notThrowsAsync(pause);
});
