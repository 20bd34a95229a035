import test from 'ava';
import { SelfPreservation } from '../../../services/registry/self-preservation.js';
import { ViewHealth } from '../../../services/registry/view-health.js';
import { ManualClock } from '../../support/clock.js';

const lastsMs = 5000;

test('a cause is remembered for its time; one that lasts, until its end and then', (t) => {
  const clock = new ManualClock();
  const viewHealth = new ViewHealth(clock, lastsMs);
  t.is(viewHealth.reason, undefined);
  viewHealth.note('etcd has another leader');
  clock.advance(lastsMs);
  t.is(viewHealth.reason, 'etcd has another leader');
  clock.advance(1);
  t.is(viewHealth.reason, undefined);

  viewHealth.end('its watch was cut');
  t.is(viewHealth.reason, undefined, 'nothing had begun');
  viewHealth.begin('its watch was cut');
  clock.advance(10 * lastsMs);
  t.is(viewHealth.reason, 'its watch was cut');
  viewHealth.begin('etcd was lost');
  viewHealth.end('its watch was cut');
  clock.advance(10 * lastsMs);
  t.is(viewHealth.reason, 'etcd was lost');
  viewHealth.begin('its watch was cut');
  viewHealth.end('etcd was lost');
  viewHealth.end('its watch was cut');
  clock.advance(lastsMs);
  t.is(viewHealth.reason, 'its watch was cut');
  clock.advance(1);
  t.is(viewHealth.reason, undefined);
});

test('a view is steady since the last cause that lasted has ended', (t) => {
  const clock = new ManualClock();
  const viewHealth = new ViewHealth(clock, lastsMs);
  t.is(viewHealth.steadyMs, Number.POSITIVE_INFINITY);
  viewHealth.begin('etcd was lost');
  viewHealth.begin('its watch was cut');
  clock.advance(1000);
  viewHealth.end('its watch was cut');
  t.is(viewHealth.steadyMs, 0);
  viewHealth.end('etcd was lost');
  clock.advance(1000);
  viewHealth.note('etcd has another leader');
  t.is(viewHealth.steadyMs, 1000);
});

test('clocks that part, and time that was lost, are causes; a clock that is slewed is none', (t) => {
  const clock = new ManualClock();
  const viewHealth = new ViewHealth(clock, lastsMs);
  viewHealth.start();
  for (let i = 0; i < 100; i++) {
    clock.stepWall(0.5);
    clock.advance(1000);
  }
  t.is(viewHealth.reason, undefined);
  for (const jumpMs of [3_600_000, -3_600_000]) {
    clock.stepWall(jumpMs);
    clock.advance(1000);
    t.is(viewHealth.reason, 'the wall clock was stepped');
    clock.advance(lastsMs + 1000);
    t.is(viewHealth.reason, undefined);
  }
  viewHealth.stop();
  clock.stepWall(3_600_000);
  clock.advance(10_000);
  t.is(viewHealth.reason, undefined);
});

test('a process that was suspended suspects its own view', (t) => {
  let nowMs = 0;
  const tasks: (() => void)[] = [];
  const viewHealth = new ViewHealth(
    {
      monotonicMs: () => nowMs,
      wallMs: () => nowMs,
      after: (_, task) => {
        tasks.push(task);
        return () => {};
      },
    },
    lastsMs,
  );
  viewHealth.start();
  nowMs += 1900;
  tasks.pop()?.();
  t.is(viewHealth.reason, undefined);
  nowMs += 2100;
  tasks.pop()?.();
  t.is(viewHealth.reason, 'this process was suspended');
});

test('a share of the relays within the window is doubted, while there is a reason to', (t) => {
  const clock = new ManualClock();
  const viewHealth = new ViewHealth(clock, lastsMs);
  const selfPreservation = new SelfPreservation({ percent: 15, windowMs: 5000 }, viewHealth, clock);
  t.is(
    selfPreservation.reasonToDoubt(50, 50),
    undefined,
    'without a reason, relays are gone when they are gone',
  );
  clock.advance(5001);
  viewHealth.note('a reason');
  t.is(selfPreservation.reasonToDoubt(15, 85), undefined, '15 of 100 are believed');
  t.is(selfPreservation.reasonToDoubt(1, 84), 'a reason', 'the sixteenth within the window is not');
  clock.advance(5001);
  viewHealth.note('a reason');
  t.is(selfPreservation.reasonToDoubt(1, 83), undefined, 'the others are past');
  t.is(selfPreservation.reasonToDoubt(1, 1), 'a reason', 'one of few is a large share');
});

test('the share can be set, and 100 doubts nothing', (t) => {
  const clock = new ManualClock();
  const viewHealth = new ViewHealth(clock, lastsMs);
  viewHealth.note('a reason');
  const selfPreservation = (percent: number) =>
    new SelfPreservation({ percent, windowMs: 5000 }, viewHealth, clock);
  t.is(selfPreservation(100).reasonToDoubt(10, 0), undefined);
  t.is(selfPreservation(0).reasonToDoubt(1, 1000), 'a reason');
});
