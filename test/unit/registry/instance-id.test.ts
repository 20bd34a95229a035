import test from 'ava';
import type { StartTime } from '../../../services/registry/codecs/instance.js';
import { isSameLife, newInstanceId, startTime } from '../../../services/registry/instance-id.js';
import { ManualClock } from '../../support/clock.js';

const start: StartTime = { wallMs: 1_700_000_000_000, sinceBootMs: 3_600_000, bootId: 'boot-1' };
const shifted = ({ wallMs = 0, sinceBootMs = 0, bootId = start.bootId }: Partial<StartTime>): StartTime => ({
  wallMs: start.wallMs + wallMs,
  sinceBootMs: start.sinceBootMs + sinceBootMs,
  bootId,
});

test('readings of one start may differ by whole seconds and a slow answer, and by no more', (t) => {
  for (const ms of [0, 1450, -1450, 2500, -2500]) {
    t.true(isSameLife(start, shifted({ wallMs: ms, sinceBootMs: ms })), `${ms} ms`);
  }
  for (const ms of [2501, -2501, 60_000]) {
    t.false(isSameLife(start, shifted({ wallMs: ms, sinceBootMs: ms })), `${ms} ms`);
  }
});

test('one clock is enough within a boot; across boots and hosts only the wall clock counts', (t) => {
  t.true(isSameLife(start, shifted({ wallMs: 300_000 })));
  t.true(isSameLife(start, shifted({ sinceBootMs: 300_000 })));
  t.true(isSameLife(start, shifted({ sinceBootMs: 300_000, bootId: 'boot-2' })));
  t.false(isSameLife(start, shifted({ wallMs: 300_000, bootId: 'boot-2' })));
});

test('a host without a boot id is not taken for another one without', (t) => {
  const nameless = { ...start, bootId: '' };
  t.false(isSameLife(nameless, { ...nameless, wallMs: start.wallMs + 300_000 }));
  t.true(isSameLife(nameless, { ...nameless, sinceBootMs: 7 }));
});

for (const stepMs of [300_000, -300_000]) {
  test(`a wall clock stepped by ${stepMs / 1000} s makes no other life, whatever clock the relay counts by`, (t) => {
    const clock = new ManualClock();
    const bornMs = clock.monotonicMs() - 100_000;
    const wallBornMs = clock.wallMs() - 100_000;
    /** As rtpengine counts: whole seconds of wall time. */
    const byWallClock = () => clock.monotonicMs() - 1000 * Math.floor((clock.wallMs() - wallBornMs) / 1000);
    const readings = () => [startTime(clock, 'boot-1', bornMs), startTime(clock, 'boot-1', byWallClock())];
    const before = readings();
    clock.stepWall(stepMs);
    clock.advance(12_345);
    const after = readings();
    clock.stepWall(stepMs);
    for (const later of [after, readings()]) {
      later.forEach((reading, i) => {
        t.true(isSameLife(before[i] as StartTime, reading));
        t.true(isSameLife(after[i] as StartTime, reading));
      });
    }
    const restarted = startTime(clock, 'boot-1', clock.monotonicMs());
    t.false(before.some((reading) => isSameLife(reading, restarted)));
  });
}

test('instance ids are 64 random bits', (t) => {
  const ids = Array.from({ length: 1000 }, newInstanceId);
  t.true(ids.every((id) => /^[0-9a-f]{16}$/.test(id)));
  t.is(new Set(ids).size, ids.length);
});
