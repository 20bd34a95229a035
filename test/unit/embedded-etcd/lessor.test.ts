import test from 'ava';
import { Keyspace } from '../../../services/embedded-etcd/keyspace.js';
import { LeaseTable } from '../../../services/embedded-etcd/lease-table.js';
import { Lessor } from '../../../services/embedded-etcd/lessor.js';
import type { Clock } from '../../../services/runtime/clock.js';

/** A clock that stands until it is moved. */
class HandClock implements Clock {
  #nowMs = 0;
  readonly #timers = new Set<{ atMs: number; task: () => void }>();

  monotonicMs = () => this.#nowMs;
  wallMs = () => 0;

  after(delayMs: number, task: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, task };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  advance(byMs: number): void {
    const endMs = this.#nowMs + byMs;
    for (;;) {
      const [next] = [...this.#timers].filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs);
      if (!next) {
        break;
      }
      this.#timers.delete(next);
      this.#nowMs = next.atMs;
      next.task();
    }
    this.#nowMs = endMs;
  }

  get timers(): number {
    return this.#timers.size;
  }
}

function create() {
  const clock = new HandClock();
  const table = new LeaseTable();
  const keyspace = new Keyspace(table, { maxEvents: 1_000_000, maxBytes: 1 << 30 });
  const lessor = new Lessor(keyspace, table, clock);
  const put = (key: string, lease: bigint) => keyspace.write((writer) => writer.put(key, '', lease));
  const keys = () => keyspace.read({ from: '', to: '' }).map(({ key }) => key);
  return { clock, table, keyspace, lessor, put, keys };
}

test('a lease lives its whole TTL and then goes with its keys', (t) => {
  const { clock, lessor, put, keys, keyspace } = create();
  put('a', lessor.grant(1n, 10).id);
  put('b', 1n);
  const { revision } = keyspace;
  clock.advance(10_000);
  t.deepEqual(keys(), ['a', 'b']);
  clock.advance(2);
  t.deepEqual(keys(), []);
  t.is(keyspace.revision, revision + 1);
  t.is(lessor.find(1n), undefined);
  t.is(clock.timers, 0);
});

test('renewal starts the TTL anew; an expired lease cannot be renewed', (t) => {
  const { clock, lessor } = create();
  const lease = lessor.grant(1n, 10);
  for (let round = 0; round < 5; round++) {
    clock.advance(9000);
    t.is(lessor.renew(1n), lease);
  }
  t.is(lessor.remainingSeconds(lease), 10);
  clock.advance(10_000);
  t.is(lessor.renew(1n), undefined);
});

test('leases of all ages expire in order, whatever was granted, renewed and revoked between', (t) => {
  const { clock, lessor, put, keys } = create();
  for (let id = 1; id <= 200; id++) {
    put(String(id).padStart(3, '0'), lessor.grant(BigInt(id), 2 + ((id * 37) % 50)).id);
  }
  for (let id = 1; id <= 200; id += 7) {
    lessor.revoke(BigInt(id));
  }
  clock.advance(1500);
  const renewed = new Set<number>();
  for (let id = 2; id <= 200; id += 5) {
    if (lessor.renew(BigInt(id))) {
      renewed.add(id);
    }
  }
  const expected = (nowMs: number) =>
    Array.from({ length: 200 }, (_, index) => index + 1)
      .filter((id) => id % 7 !== 1)
      .filter((id) => 2000 + ((id * 37) % 50) * 1000 + (renewed.has(id) ? 1500 : 0) >= nowMs - 1)
      .map((id) => String(id).padStart(3, '0'));
  for (let nowMs = 1500; nowMs < 60_000; nowMs += 750) {
    clock.advance(750);
    t.deepEqual(keys(), expected(nowMs + 750), `at ${nowMs + 750}`);
  }
});

test('a very long TTL does not overflow the timer', (t) => {
  const { clock, lessor } = create();
  lessor.grant(1n, 9_000_000_000);
  clock.advance(24 * 3_600_000);
  t.not(lessor.find(1n), undefined);
  t.is(clock.timers, 1);
});

test('a hundred thousand leases are granted, renewed and expired', (t) => {
  const { clock, lessor, put, keys, table } = create();
  for (let id = 1n; id <= 100_000n; id++) {
    put(`k${id}`, lessor.grant(id, 60).id);
  }
  for (let id = 1n; id <= 100_000n; id++) {
    lessor.renew(id);
  }
  clock.advance(61_000);
  t.is(table.size, 0);
  t.deepEqual(keys(), []);
});

test('nothing expires after stop', (t) => {
  const { clock, lessor } = create();
  lessor.grant(1n, 5);
  lessor.stop();
  clock.advance(60_000);
  t.is(clock.timers, 0);
  t.not(lessor.find(1n), undefined);
});
