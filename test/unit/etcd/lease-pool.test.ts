import test from 'ava';
import fc from 'fast-check';
import type { EtcdConnection } from '../../../services/etcd/connection.js';
import { LeasePool, roundUp } from '../../../services/etcd/lease-pool.js';
import { ManualClock, turns } from '../../support/clock.js';

/** Grants leases when told to. */
class Grants {
  readonly seconds: number[] = [];
  readonly #waiting: { grant: () => void; refuse: () => void }[] = [];
  held = false;

  grantLease(ttlSeconds: number): Promise<string> {
    const lease = `lease-${this.seconds.push(ttlSeconds)}`;
    if (!this.held) {
      return Promise.resolve(lease);
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ grant: () => resolve(lease), refuse: () => reject(new Error('deadline')) });
    });
  }

  answer(how: 'grant' | 'refuse'): void {
    for (const each of this.#waiting.splice(0)) {
      each[how]();
    }
  }
}

function open() {
  const grants = new Grants();
  const clock = new ManualClock();
  // Keeping alive or revoking would fail: the fake has neither.
  return { grants, clock, pool: new LeasePool(grants as unknown as EtcdConnection, clock) };
}

async function takeMany(pool: LeasePool, seconds: number, count: number): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for (let i = 0; i < count; i++) {
    const lease = await pool.take(seconds);
    counts.set(lease, (counts.get(lease) ?? 0) + 1);
  }
  return counts;
}

test('a lease carries at most 1,000 keys', async (t) => {
  const { grants, pool } = open();
  const counts = await takeMany(pool, 300, 3500);
  t.true(Math.max(...counts.values()) <= 1000);
  t.is(counts.size, 4);
  t.true(grants.seconds.length <= 5, `${grants.seconds.length} leases for 3,500 keys`);
});

test('at most 1,000 keys too when they come all at once', async (t) => {
  const { grants, pool } = open();
  const leases = await Promise.all(Array.from({ length: 2500 }, () => pool.take(300)));
  const counts = new Map<string, number>();
  for (const lease of leases) {
    counts.set(lease, (counts.get(lease) ?? 0) + 1);
  }
  t.true(Math.max(...counts.values()) <= 1000);
  t.true(grants.seconds.length <= 4, `${grants.seconds.length} leases`);
});

test('a lease takes keys for 5 % of the lifetime, at most a minute', async (t) => {
  for (const [seconds, ageMs] of [
    [416, 20_800],
    [3584, 60_000],
    [86_400, 60_000],
  ] as const) {
    const { clock, pool } = open();
    const first = await pool.take(seconds);
    clock.advance(Math.min(ageMs, seconds * 50) - 1);
    t.is(await pool.take(seconds), first);
    clock.advance(1);
    t.not(await pool.take(seconds), first, `after ${ageMs} ms of ${seconds} s`);
  }
});

test('its age counts from before the lease was asked for', async (t) => {
  const { grants, clock, pool } = open();
  grants.held = true;
  const waiting = pool.take(416);
  await turns();
  clock.advance(20_799);
  grants.answer('grant');
  const lease = await waiting;
  clock.advance(1);
  grants.held = false;
  t.not(await pool.take(416), lease);
});

test('all who wait share one grant', async (t) => {
  const { grants, pool } = open();
  grants.held = true;
  const waiting = Array.from({ length: 50 }, () => pool.take(300));
  await turns();
  t.is(grants.seconds.length, 1);
  grants.answer('grant');
  t.deepEqual(new Set(await Promise.all(waiting)), new Set(['lease-1']));
});

test('when no lease is granted all who wait hear it, and the next one tries again', async (t) => {
  const { grants, pool } = open();
  grants.held = true;
  const waiting = Array.from({ length: 3 }, () => pool.take(300));
  const failures = Promise.allSettled(waiting);
  await turns();
  grants.answer('refuse');
  for (const outcome of await failures) {
    t.like(outcome, { status: 'rejected', reason: { code: 'unavailable' } });
  }
  grants.held = false;
  t.is(await pool.take(300), 'lease-2');
});

test('the next lease is there before the present one is full', async (t) => {
  const { grants, pool } = open();
  await takeMany(pool, 300, 999);
  await turns();
  grants.held = true;
  await takeMany(pool, 300, 400);
  t.pass('no call waited for a grant');
});

test('a lease that etcd lost is given out no longer; all who lost it share the next', async (t) => {
  const { grants, pool } = open();
  const lost = await pool.take(300);
  const other = await pool.take(3000);
  grants.held = true;
  const waiting = Array.from({ length: 120 }, () => {
    pool.forget(lost);
    return pool.take(300);
  });
  await turns();
  t.is(grants.seconds.length, 3, 'one new lease is asked for');
  grants.answer('grant');
  t.deepEqual(new Set(await Promise.all(waiting)), new Set(['lease-3']));
  t.is(await pool.take(3000), other, 'other leases stay');
});

test('lifetimes that differ a little share a lease', async (t) => {
  const { pool } = open();
  const leases = new Set<string>();
  for (let seconds = 4097; seconds <= 4608; seconds++) {
    leases.add(await pool.take(seconds));
  }
  t.is(leases.size, 1);
});

test('rounding up adds at most an eighth, and leaves eight values for each doubling', (t) => {
  fc.assert(
    fc.property(fc.double({ min: 0.01, max: 200_000, noNaN: true }), (seconds) => {
      const rounded = roundUp(seconds);
      t.true(Number.isInteger(rounded));
      t.true(rounded >= seconds);
      t.true(rounded <= Math.max(Math.ceil(seconds), seconds * 1.125), `${seconds} became ${rounded}`);
      t.is(roundUp(rounded), rounded);
    }),
  );
  const values = new Set(Array.from({ length: 4096 }, (_, i) => roundUp(4097 + i)));
  t.is(values.size, 8);
});
