import test from 'ava';
import { OutageLog } from '../../../services/etcd/outage-log.js';
import { ManualClock } from '../../support/clock.js';
import { openLog } from '../../support/replica.js';

function scene() {
  const clock = new ManualClock();
  const { log, lines } = openLog();
  return { clock, log, lines, outages: new OutageLog(clock, log), parts: [{}, {}, {}] as const };
}

const reason = { reason: 'connection refused' };
const told = (lines: readonly Record<string, unknown>[]) => lines.map(({ msg }) => msg);

test('one outage that many parts notice is one line, and one when it ends', (t) => {
  const { clock, lines, outages, parts } = scene();
  for (let second = 0; second < 60; second++) {
    for (const part of parts) {
      outages.failed(part, reason);
    }
    clock.advance(1000);
  }
  t.deepEqual(told(lines), ['cannot reach etcd; trying again']);
  t.like(lines[0], { ...reason, level: 40 });
  for (const part of parts) {
    outages.recovered(part);
  }
  clock.advance(5000);
  t.deepEqual(told(lines), ['cannot reach etcd; trying again', 'etcd answers again']);
  t.like(lines[1], { lostForMs: 60_000, level: 30 });
  t.false(outages.isOn);

  outages.failed(parts[0], reason);
  clock.advance(5000);
  t.is(lines.length, 3, 'the next outage has its own lines');
});

test('what is over in a moment is not an outage', (t) => {
  const { clock, lines, outages, parts } = scene();
  outages.failed(parts[0], reason);
  clock.advance(1000);
  outages.recovered(parts[0]);
  clock.advance(10_000);
  t.deepEqual(told(lines), []);
});

test('an outage goes on while one part gives up and the next notices', (t) => {
  const { clock, lines, outages, parts } = scene();
  outages.failed(parts[0], reason);
  clock.advance(4000);
  outages.recovered(parts[0]);
  clock.advance(500);
  t.true(outages.isOn);
  outages.failed(parts[1], reason);
  clock.advance(60_000);
  t.is(lines.length, 1);
  outages.recovered(parts[1]);
  clock.advance(1000);
  t.like(lines[1], { msg: 'etcd answers again', lostForMs: 64_500 });
});

test('an outage that another part of the process tells has no lines here, unless something fails after it', (t) => {
  const { clock, lines, outages, parts } = scene();
  outages.failed(parts[0], reason);
  outages.failed(parts[1], reason);
  outages.told(true);
  clock.advance(60_000);
  outages.told(false);
  outages.recovered(parts[0]);
  t.deepEqual(told(lines), []);
  clock.advance(3000);
  t.deepEqual(
    told(lines),
    ['cannot reach etcd; trying again'],
    'the other part is not permitted to watch, say',
  );
});

test('a consequence is a warning only where there is no outage', (t) => {
  const { clock, log, lines, outages, parts } = scene();
  outages.failed(parts[0], reason);
  outages.consequence(log, {}, 'registration lost');
  t.deepEqual(told(lines), []);
  outages.recovered(parts[0]);
  clock.advance(1000);
  outages.consequence(log, {}, 'registration lost');
  t.deepEqual(told(lines), ['registration lost']);
});
