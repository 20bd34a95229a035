import test from 'ava';
import { type Fault, lanes } from '../../chaos/plan/fault.js';
import { everyFault, outageMs, schedule } from '../../chaos/plan/schedule.js';

const minuteMs = 60_000;
const seeds = Array.from({ length: 50 }, (_, i) => i * 7919);

const isIn = (kinds: readonly string[]) => (fault: Fault) => kinds.includes(fault.kind);
const endOf = ({ atMs, forMs }: Fault) => atMs + forMs;

test('the same seed draws the same faults, another seed others', (t) => {
  t.deepEqual(schedule(7, 3 * minuteMs), schedule(7, 3 * minuteMs));
  t.notDeepEqual(schedule(7, 3 * minuteMs), schedule(8, 3 * minuteMs));
});

test('faults come in order and end within the run', (t) => {
  for (const seed of seeds) {
    const faults = schedule(seed, 3 * minuteMs);
    t.true(faults.length > 15);
    t.true(faults.every((fault, i) => fault.atMs >= (faults[i - 1]?.atMs ?? 0)));
    t.true(faults.every((fault) => endOf(fault) <= 3 * minuteMs));
  }
});

test('faults of one lane do not overlap', (t) => {
  for (const seed of seeds) {
    for (const kinds of lanes) {
      const lane = schedule(seed, 5 * minuteMs).filter(isIn(kinds));
      t.deepEqual(
        lane.filter((fault, i) => i > 0 && fault.atMs < endOf(lane[i - 1] as Fault)),
        [],
      );
    }
  }
});

test('all of etcd is down, wiped and restored once in a short run, and once every ten minutes in a long one', (t) => {
  for (const seed of seeds) {
    for (const minutes of [1, 3, 10, 30]) {
      const faults = schedule(seed, minutes * minuteMs);
      for (const kind of ['etcd-down', 'etcd-wipe', 'etcd-restore']) {
        t.is(faults.filter((fault) => fault.kind === kind).length, Math.max(1, minutes / 10));
      }
      const outages = faults.filter(({ kind }) => kind === 'etcd-down');
      t.true(outages.every(({ burst, forMs }) => burst && forMs === outageMs(minutes * minuteMs)));
      const restores = faults.filter(({ kind }) => kind === 'etcd-restore');
      t.true(restores.every(({ atMs, ageMs }) => ageMs > 0 && ageMs < atMs));
    }
  }
  t.is(outageMs(30 * minuteMs), minuteMs);
});

test('a long run has faults of every kind', (t) => {
  const kinds = new Set(schedule(1, 30 * minuteMs).map(({ kind }) => kind));
  t.deepEqual([...kinds].sort(), lanes.flat().sort());
  t.deepEqual(Object.keys(everyFault).sort(), [...kinds].sort());
});

test('only the faults of the mix are drawn', (t) => {
  const faults = schedule(3, 3 * minuteMs, { 'link-cut': 1, 'leader-kill': 1 });
  t.deepEqual([...new Set(faults.map(({ kind }) => kind))].sort(), ['leader-kill', 'link-cut']);
  t.deepEqual(schedule(3, minuteMs, {}), []);
  const wipes = schedule(3, 3 * minuteMs, { 'etcd-wipe': 4 });
  t.deepEqual(
    wipes.map(({ kind }) => kind),
    ['etcd-wipe', 'etcd-wipe', 'etcd-wipe', 'etcd-wipe'],
  );
});
