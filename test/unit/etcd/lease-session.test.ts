import { EventEmitter } from 'node:events';
import test from 'ava';
import type { EtcdConnection } from '../../../services/etcd/connection.js';
import { LeaseSession } from '../../../services/etcd/lease-session.js';
import { silentLogger } from '../../../services/runtime/log.js';
import { ManualClock, turns } from '../../support/clock.js';

/** One keepalive stream, as grpc-js has it. */
class KeepAlive extends EventEmitter {
  canceled = false;

  constructor(private readonly etcd: FakeEtcd) {
    super();
  }

  write({ ID }: { ID: string }): void {
    this.etcd.keepAlives++;
    if (this.etcd.answers) {
      this.answer(ID);
    }
  }

  answer(ID: string, ttl = this.etcd.ttlSeconds): void {
    setImmediate(() => this.emit('data', { ID, TTL: `${ttl}` }));
  }

  cancel(): void {
    this.canceled = true;
    setImmediate(() => this.emit('error', new Error('1 CANCELLED: Cancelled on client')));
  }
}

class FakeEtcd {
  readonly streams: KeepAlive[] = [];
  readonly revoked: string[] = [];
  keepAlives = 0;
  answers = true;
  ttlSeconds = 10;
  away = false;

  grantLease(): Promise<string> {
    return this.away ? Promise.reject(new Error('no connection')) : Promise.resolve('7');
  }

  keepLeaseAlive(): Promise<KeepAlive> {
    if (this.away) {
      return Promise.reject(new Error('no connection'));
    }
    const stream = new KeepAlive(this);
    this.streams.push(stream);
    return Promise.resolve(stream);
  }

  revokeLease(id: string): Promise<unknown> {
    this.revoked.push(id);
    return this.away ? Promise.reject(new Error('no connection')) : Promise.resolve();
  }

  get stream(): KeepAlive {
    return this.streams.at(-1) as KeepAlive;
  }
}

const ttlMs = 10_000;
const lifeMs = 9000;

async function open() {
  const etcd = new FakeEtcd();
  const clock = new ManualClock();
  const session = await LeaseSession.open(
    { connection: etcd as unknown as EtcdConnection, clock, log: silentLogger },
    ttlMs / 1000,
  );
  await turns();
  let reason: string | undefined;
  void session.done.then((text) => {
    reason = text;
  });
  return { etcd, clock, session, reason: () => reason };
}

test('it renews for as long as etcd answers', async (t) => {
  const { etcd, clock, session, reason } = await open();
  await clock.pass(60_000, 250);
  t.is(reason(), undefined);
  t.true(session.remainingMs > lifeMs / 2);
  t.is(etcd.streams.length, 1);
  t.true(etcd.keepAlives >= 24 && etcd.keepAlives <= 30, `${etcd.keepAlives} keepalives in 6 lives`);
});

test('it gives itself up at 90 % of the TTL after the last keepalive that was answered', async (t) => {
  const { etcd, clock, session, reason } = await open();
  await clock.pass(20_000, 250);
  etcd.answers = false;
  const remainingMs = session.remainingMs;
  await clock.pass(remainingMs - 100, 50);
  t.is(reason(), undefined);
  await clock.pass(200, 50);
  t.is(reason(), 'it was not renewed in time');
  t.true(session.remainingMs <= 0);
  t.true(session.ended);
});

test('that time counts from when the keepalive was sent, not from when it was answered', async (t) => {
  const { etcd, clock, session } = await open();
  etcd.answers = false;
  const before = etcd.keepAlives;
  while (etcd.keepAlives === before) {
    await clock.pass(50);
  }
  const sentAtMs = clock.monotonicMs();
  await clock.pass(2000, 50);
  etcd.stream.answer('7');
  await turns();
  const sinceMs = clock.monotonicMs() - sentAtMs;
  t.true(Math.abs(session.remainingMs - (lifeMs - sinceMs)) <= 50, `${session.remainingMs} ms`);
});

test('the first count begins before the lease was asked for', async (t) => {
  const etcd = new FakeEtcd();
  etcd.answers = false;
  const clock = new ManualClock();
  etcd.grantLease = () => {
    clock.advance(3000);
    return Promise.resolve('7');
  };
  const session = await LeaseSession.open(
    { connection: etcd as unknown as EtcdConnection, clock, log: silentLogger },
    10,
  );
  t.is(session.remainingMs, lifeMs - 3000);
});

test('a lease that etcd does not know ends it at once', async (t) => {
  const { etcd, clock, reason } = await open();
  etcd.ttlSeconds = 0;
  await clock.pass(3000);
  t.is(reason(), 'etcd does not know the lease any more');
  const sent = etcd.keepAlives;
  await clock.pass(30_000, 500);
  t.is(etcd.keepAlives, sent, 'nothing is sent any more');
});

test('a stream that breaks is replaced within the life of the lease', async (t) => {
  const { etcd, clock, reason } = await open();
  for (const end of [
    (stream: KeepAlive) => stream.emit('error', new Error('cut')),
    (stream: KeepAlive) => stream.emit('end'),
  ]) {
    end(etcd.stream);
    const streams = etcd.streams.length;
    await clock.pass(2000);
    t.is(etcd.streams.length, streams + 1);
  }
  await clock.pass(30_000, 250);
  t.is(reason(), undefined);
});

test('a stream that is silent is given up, and another one tried', async (t) => {
  const { etcd, clock, reason } = await open();
  etcd.answers = false;
  const silent = etcd.stream;
  while (!silent.canceled) {
    await clock.pass(50);
  }
  etcd.answers = true;
  await clock.pass(2000);
  t.true(etcd.streams.length > 1);
  await clock.pass(30_000, 250);
  t.is(reason(), undefined);
});

test('while etcd is away it keeps trying, and holds on if etcd is back in time', async (t) => {
  const { etcd, clock, reason } = await open();
  etcd.away = true;
  etcd.stream.emit('error', new Error('cut'));
  await clock.pass(6000);
  etcd.away = false;
  await clock.pass(20_000, 250);
  t.is(reason(), undefined);
});

test('closing revokes once, tells why, and stops renewing', async (t) => {
  const { etcd, clock, session, reason } = await open();
  await Promise.all([session.close(), session.close()]);
  await session.close();
  t.deepEqual(etcd.revoked, ['7']);
  t.is(reason(), 'closed');
  t.true(session.ended);
  await turns();
  t.true(etcd.stream.canceled);
  const sent = etcd.keepAlives;
  await clock.pass(30_000, 500);
  t.is(etcd.keepAlives, sent);
  t.is(etcd.streams.length, 1);
});

test('closing while etcd is away does not fail', async (t) => {
  const { etcd, session, reason } = await open();
  etcd.away = true;
  await t.notThrowsAsync(session.close());
  t.is(reason(), 'closed');
});

test('without a lease there is no session', async (t) => {
  const etcd = new FakeEtcd();
  etcd.away = true;
  const parts = {
    connection: etcd as unknown as EtcdConnection,
    clock: new ManualClock(),
    log: silentLogger,
  };
  await t.throwsAsync(LeaseSession.open(parts, 10), { message: 'no connection' });
});
