import test, { type ExecutionContext } from 'ava';
import { Agent } from '../../../relay-node/agent.js';
import { HostCpu } from '../../../relay-node/host-cpu.js';
import type { RelayDriver, RelayStatus } from '../../../relay-node/relays/relay.js';
import type { EtcdConnection } from '../../../services/etcd/connection.js';
import type { HistoryChange } from '../../../services/etcd/history.js';
import type { Txn } from '../../../services/etcd/txn-codec.js';
import { loadCodec } from '../../../services/registry/codecs/load.js';
import { Keyspace } from '../../../services/registry/keyspace.js';
import { silentLogger } from '../../../services/runtime/log.js';
import { ManualClock } from '../../support/clock.js';
import { valid } from '../../support/registry.js';

const keys = new Keyspace('/holdfast/v1');
const never = new Promise<never>(() => {});

/** A relay that does as it is told. */
class FakeRelay implements RelayDriver {
  readonly kind = 'rtpengine';
  readonly controlUrl = 'udp:192.0.2.1:2223';
  alive = true;
  instance: string | undefined;
  calls = 0;
  pings = 0;
  startedAtMs: number;
  listing: Promise<string[]> = Promise.resolve([]);
  leave: RelayDriver['leave'];
  tellExit: (exit: string) => void = () => {};
  readonly onExit = (listener: (exit: string) => void) => {
    this.tellExit = listener;
  };

  constructor(clock: ManualClock) {
    this.startedAtMs = clock.monotonicMs();
  }

  async start(): Promise<void> {}
  async stop(): Promise<void> {}

  async ping(): Promise<void> {
    this.pings++;
    if (!this.alive) {
      throw new Error('silence');
    }
  }

  async status(): Promise<RelayStatus> {
    const { startedAtMs, instance, calls } = this;
    return { startedAtMs, instance, version: '1', calls, packetRate: 0 };
  }

  async features(): Promise<string[]> {
    return ['ice'];
  }

  callIds(): Promise<string[]> {
    return this.listing;
  }
}

/** An etcd that accepts everything, or from some moment on answers nothing. */
class FakeEtcd {
  hangs = false;
  /** Reads wait for `release()`. */
  holds = false;
  release: () => void = () => {};
  changeHistory: (change: HistoryChange) => void = () => {};
  readonly writes: Txn[] = [];
  readonly revoked: string[] = [];
  #leases = 0;

  get connection(): EtcdConnection {
    const answer = <T>(value: T): Promise<T> => (this.hangs ? never : Promise.resolve(value));
    return {
      range: async () => {
        if (this.holds) {
          await new Promise<void>((resolve) => {
            this.release = resolve;
          });
        }
        return answer({ kvs: [] });
      },
      txn: (txn: Txn) => {
        this.writes.push(txn);
        return answer({ succeeded: true, revision: 7, responses: [] });
      },
      grantLease: () => answer(String(++this.#leases)),
      revokeLease: (id: string) => {
        this.revoked.push(id);
        return answer({});
      },
      keepLeaseAlive: () => never,
      onHistoryChange: (listener: (change: HistoryChange) => void) => {
        this.changeHistory = listener;
      },
    } as unknown as EtcdConnection;
  }

  /** The load reports, oldest first. */
  get loads() {
    return this.#put(keys.loadOf('default', 'r1')).map((value) => valid(loadCodec.decode('', value)));
  }

  #put(key: Buffer): Buffer[] {
    return this.writes
      .flatMap(({ success = [] }) => success)
      .flatMap((operation) => ('request_put' in operation ? [operation.request_put] : []))
      .filter((put) => put?.key?.toString() === key.toString())
      .map((put) => put?.value as Buffer);
  }
}

async function watched(
  t: ExecutionContext,
  prepare: (etcd: FakeEtcd, relay: FakeRelay, clock: ManualClock) => void = () => {},
) {
  const clock = new ManualClock();
  const [relay, etcd] = [new FakeRelay(clock), new FakeEtcd()];
  prepare(etcd, relay, clock);
  let busyMs = 0;
  const agent = new Agent({
    relay,
    identity: { id: 'r1', set: 'default', mediaAddresses: {}, weight: 1, capacity: 0, zone: '', labels: {} },
    connection: etcd.connection,
    keys,
    clock,
    log: silentLogger,
    drainDeadlineMs: 0,
    node: '',
    bootId: 'boot',
    cpu: new HostCpu(() => {
      busyMs += 25;
      return [{ times: { user: busyMs, nice: 0, sys: 0, irq: 0, idle: 3 * busyMs } }];
    }),
  });
  await agent.start();
  t.teardown(() => {
    clock.advance(100_000);
  });
  return { agent, clock, relay, etcd };
}

test('an etcd that never answers delays no ping, and a dead relay is known all the same', async (t) => {
  const { agent, clock, relay } = await watched(t, (etcd) => {
    etcd.hangs = true;
  });
  await clock.pass(5000);
  t.true(relay.pings >= 18, `${relay.pings} pings in 5 s`);
  t.is(agent.notReady, 'not registered in etcd');
  relay.alive = false;
  await clock.pass(850);
  t.is(agent.notReady, 'the relay at udp:192.0.2.1:2223 does not answer');
  relay.alive = true;
  await clock.pass(1500);
  t.is(agent.notReady, 'not registered in etcd');
});

test('the registration is taken back at once, though a report is still waiting for etcd', async (t) => {
  const { agent, clock, relay, etcd } = await watched(t);
  await clock.pass(1500);
  t.is(agent.notReady, undefined);
  etcd.hangs = true;
  relay.calls = 5;
  await clock.pass(2000);
  t.is(etcd.loads.at(-1)?.calls, 5, 'the report is under way');
  relay.alive = false;
  await clock.pass(1100);
  t.deepEqual(etcd.revoked, ['1']);
  t.regex(agent.notReady ?? '', /does not answer/);
});

test('a relay that died while etcd was asked about it is not registered afterwards', async (t) => {
  const { agent, clock, relay, etcd } = await watched(t, (etcd) => {
    etcd.holds = true;
  });
  await clock.pass(500);
  relay.alive = false;
  await clock.pass(850);
  etcd.release();
  await clock.pass(2000);
  t.deepEqual(etcd.writes, []);
  t.regex(agent.notReady ?? '', /does not answer/);
});

test('a relay that is slow to list its calls delays no report', async (t) => {
  const { clock, relay, etcd } = await watched(t, (_, relay) => {
    relay.listing = never;
  });
  await clock.pass(8000);
  relay.calls = 3;
  await clock.pass(2500);
  t.is(etcd.loads.at(-1)?.calls, 3);
});

test('the load says how busy the host is, from 0 to 1', async (t) => {
  const { clock, etcd } = await watched(t);
  await clock.pass(12_000);
  const cpus = etcd.loads.map((load) => load?.cpu);
  t.true(cpus.length >= 2);
  t.true(
    cpus.every((cpu) => cpu === 0.25),
    cpus.join(),
  );
});

test('a restart of the relay ends one registration and begins another', async (t) => {
  const { agent, clock, relay, etcd } = await watched(t, (_etcd, fake) => {
    fake.instance = 'first';
  });
  await clock.pass(2500);
  t.is(agent.notReady, undefined);
  relay.startedAtMs = clock.monotonicMs();
  relay.instance = 'second';
  await clock.pass(3500);
  t.deepEqual(etcd.revoked, ['1']);
  const departures = etcd.loads.flatMap((load) => load?.departure ?? []);
  t.deepEqual(departures, ['restarted']);
  t.is(agent.notReady, undefined);
  const stopped = agent.stop();
  await clock.pass(3000);
  await stopped;
  t.deepEqual(etcd.revoked, ['1', '2']);
  t.is(agent.notReady, 'stopped');
});

test('a relay whose program has ended is taken back at once, and comes back with another instance', async (t) => {
  const { agent, clock, relay, etcd } = await watched(t, (_etcd, fake) => {
    fake.instance = 'first';
  });
  await clock.pass(2500);
  relay.alive = false;
  relay.tellExit('SIGSEGV');
  await clock.pass(50);
  t.deepEqual(etcd.revoked, ['1']);
  t.like(etcd.loads.at(-1), { departure: 'ended', exit: 'SIGSEGV' });
  t.regex(agent.notReady ?? '', /does not answer/);
  relay.alive = true;
  relay.instance = 'second';
  await clock.pass(2500);
  t.is(agent.notReady, undefined);
});

test('a node that hands over leaves its registration to the next one', async (t) => {
  const { agent, clock, relay, etcd } = await watched(t);
  let left = 0;
  relay.leave = async () => {
    left++;
  };
  relay.calls = 3;
  await clock.pass(2500);
  await Promise.all([agent.handOver(), clock.pass(1000)]);
  t.is(left, 1);
  await clock.pass(10_000);
  t.deepEqual(etcd.revoked, []);
});

test('a node whose calls would end drains instead of handing over', async (t) => {
  const { agent, clock, etcd } = await watched(t);
  await clock.pass(2500);
  await Promise.all([agent.handOver(), clock.pass(3000)]);
  t.deepEqual(etcd.revoked, ['1']);
  t.is(agent.notReady, 'stopped');
});

for (const uptimeClock of ['monotonicMs', 'wallMs'] as const) {
  test(`a stepped wall clock is no restart of a relay that counts its uptime by ${uptimeClock}`, async (t) => {
    const { agent, clock, relay, etcd } = await watched(t, (_etcd, fake, time) => {
      const bornMs = time[uptimeClock]() - 60_000;
      Object.defineProperty(fake, 'startedAtMs', {
        configurable: true,
        get: () => time.monotonicMs() - 1000 * Math.floor((time[uptimeClock]() - bornMs) / 1000),
      });
    });
    await clock.pass(2500);
    t.is(agent.notReady, undefined);
    for (const stepMs of [300_000, -300_000, -300_000]) {
      clock.stepWall(stepMs);
      await clock.pass(2500);
      t.deepEqual(etcd.revoked, [], `step of ${stepMs} ms`);
    }
    t.is(agent.notReady, undefined);
    Object.defineProperty(relay, 'startedAtMs', { value: clock.monotonicMs() });
    await clock.pass(2500);
    t.is(etcd.revoked.length, 1, 'it has restarted');
  });
}

test('that etcd was restored is told at once, for an hour', async (t) => {
  const { clock, etcd } = await watched(t);
  await clock.pass(1500);
  t.is(etcd.loads.at(-1)?.restoredRevision, undefined);
  etcd.changeHistory({ reason: 'a test', revision: 4711 });
  await clock.pass(500);
  t.is(etcd.loads.at(-1)?.restoredRevision, 4711);
  clock.advance(3_600_000);
  await clock.pass(2000);
  t.is(etcd.loads.at(-1)?.restoredRevision, undefined);
});
