import test from 'ava';
import fc from 'fast-check';
import { LeaseClock } from '../../../../services/selection/outage/lease-clock.js';
import { ManualClock } from '../../../support/clock.js';

test('it stands still while it is paused, however often that is said', (t) => {
  const clock = new ManualClock();
  const lease = new LeaseClock(clock);
  const startMs = lease.nowMs();
  clock.advance(10);
  t.is(lease.nowMs() - startMs, 10);
  lease.pause();
  clock.advance(20);
  lease.pause();
  clock.advance(30);
  t.is(lease.nowMs() - startMs, 10);
  t.is(lease.resume(), 50);
  t.is(lease.resume(), 0, 'it runs already');
  clock.advance(5);
  t.is(lease.nowMs() - startMs, 15);
});

test('what ran since etcd last answered is taken back, but nothing that has been', (t) => {
  const clock = new ManualClock();
  const lease = new LeaseClock(clock);
  const startMs = lease.nowMs();
  clock.advance(10);
  const answeredAtMs = clock.monotonicMs();
  clock.advance(25_000);
  t.is(lease.nowMs() - startMs, 25_010);
  lease.pause(answeredAtMs);
  t.is(lease.nowMs() - startMs, 10);
  clock.advance(500);
  t.is(lease.resume(), 25_500);
  clock.advance(5);
  lease.pause(answeredAtMs);
  t.is(lease.nowMs() - startMs, 10, 'the five since then');
});

test('it runs when the clock runs and it is not paused, never back, whatever the wall clock does', (t) => {
  const action = fc.oneof(
    fc.nat({ max: 1_000_000 }).map((ms) => ({ ms })),
    fc.constantFrom('pause' as const, 'resume' as const),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
      const clock = new ManualClock();
      const lease = new LeaseClock(clock);
      const startMs = lease.nowMs();
      let isPaused = false;
      let expectedMs = 0;
      let pausedMs = 0;
      for (const each of actions) {
        if (each === 'pause') {
          lease.pause();
          isPaused = true;
        } else if (each === 'resume') {
          t.is(lease.resume(), pausedMs);
          pausedMs = 0;
          isPaused = false;
        } else {
          clock.advance(each.ms);
          clock.stepWall(-2 * each.ms);
          expectedMs += isPaused ? 0 : each.ms;
          pausedMs += isPaused ? each.ms : 0;
        }
        t.is(lease.nowMs() - startMs, expectedMs);
      }
    }),
  );
});
