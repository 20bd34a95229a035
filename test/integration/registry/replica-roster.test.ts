import test from 'ava';
import type { Etcd3 } from 'etcd3';
import { parseCall } from '../../../services/domain/call.js';
import type { ReplicaRoster } from '../../../services/registry/replica-roster.js';
import { behaviors, startEmbeddedEtcd } from '../../support/etcd.js';
import { FaultyConnection } from '../../support/faulty-connection.js';
import { Scrape } from '../../support/prometheus.js';
import { aRelay, ask, eventually, newKeyspace, putRelay, startSelector } from '../../support/registry.js';
import { openReplica } from '../../support/replica.js';

const behavior = behaviors();

const lingers = ({ keptSeconds, releaseSeconds }: ReplicaRoster) => ({ keptSeconds, releaseSeconds });

/** How long etcd keeps the key at least from now, s; 0 if there is no such key. */
async function remainingSeconds(client: Etcd3, key: Buffer): Promise<number> {
  const [kv] = (await client.kv.range({ key })).kvs;
  return kv ? Number((await client.leaseClient.leaseTimeToLive({ ID: kv.lease })).TTL) : 0;
}

behavior(
  'replicas with different lingers: the longest is kept, the shortest trusted',
  async (t, client, etcd) => {
    const keys = newKeyspace();
    await putRelay(client, keys, aRelay());
    const open = (lingerSeconds: number) =>
      startSelector(t, etcd.endpoint, { keys, settings: { lingerSeconds } });
    const long = await open(60);
    t.deepEqual(lingers(long.engine.roster), { keptSeconds: 60, releaseSeconds: 60 });
    const short = await open(5);
    await eventually(() => long.engine.roster.keptSeconds === 5, 'news of the other');
    for (const { engine } of [long, short]) {
      t.deepEqual(lingers(engine.roster), { keptSeconds: 5, releaseSeconds: 60 });
    }
    const call = parseCall('released-early');
    await long.selector.select(ask(call));
    await short.selector.release(call);
    t.true((await remainingSeconds(client, keys.call(call))) > 50);
    await short.stop();
    await eventually(() => long.engine.roster.keptSeconds === 60, 'the end of the other');
  },
);

behavior('an installation with another prefix changes no linger', async (t, _client, etcd) => {
  const one = await startSelector(t, etcd.endpoint, { settings: { lingerSeconds: 20 } });
  await startSelector(t, etcd.endpoint, { settings: { lingerSeconds: 5 } });
  await eventually(() => (one.engine.roster.differing.get('HOLDFAST_ETCD_PREFIX') ?? 0) > 0, 'news');
  t.deepEqual(lingers(one.engine.roster), { keptSeconds: 20, releaseSeconds: 20 });
});

behavior('an entry that somebody removes is published again', async (t, client, etcd) => {
  const keys = newKeyspace();
  const one = await startSelector(t, etcd.endpoint, { keys });
  const entries = async () => {
    const { kvs } = await client.kv.range({
      key: Buffer.from(keys.replicas),
      range_end: Buffer.from('/holdfast/replicas0'),
    });
    return kvs.filter(({ value }) => value.includes(keys.prefix));
  };
  const [first] = await entries();
  t.truthy(first);
  await client.kv.deleteRange({ key: first?.key ?? Buffer.alloc(0) });
  await eventually(async () => (await entries())[0]?.create_revision !== undefined, 'the entry');
  t.not((await entries())[0]?.create_revision, first?.create_revision);
  await eventually(() => one.engine.roster.live, 'the roster');
});

test('a replica that others cannot know, or that does not hear of them, assumes the worst', async (t) => {
  const { endpoint } = await startEmbeddedEtcd(t);
  const connection = new FaultyConnection(endpoint);
  t.teardown(() => connection.close());
  const one = await startSelector(t, endpoint, { connection });
  t.deepEqual(lingers(one.engine.roster), { keptSeconds: 30, releaseSeconds: 30 });
  connection.cut();
  await eventually(() => one.engine.roster.releaseSeconds === 600, 'the loss of the watch');
  await eventually(() => one.engine.roster.keptSeconds === 5, 'the end of the lease');
  connection.restore();
  await eventually(() => one.engine.roster.live, 'the roster');
  t.deepEqual(lingers(one.engine.roster), { keptSeconds: 30, releaseSeconds: 30 });
});

test('replicas that are set differently say so, in the log and in metrics', async (t) => {
  const { endpoint } = await startEmbeddedEtcd(t);
  const keys = newKeyspace();
  const one = await openReplica(t, endpoint, keys);
  const alike = await openReplica(t, endpoint, keys);
  await Promise.all([one.ready, alike.ready]);
  const message = 'replicas that share this etcd are set differently';
  const differences = async ({ http }: typeof one) => {
    const scrape = await Scrape.of(http);
    const value = (setting: string) => scrape.value('holdfast_differing_settings', { setting });
    return ['LINGER_SECONDS', 'CALL_TTL_SECONDS', 'WITHOUT_QUORUM', 'ETCD_PREFIX', 'PLACEMENT'].map((name) =>
      value(`HOLDFAST_${name}`),
    );
  };
  t.deepEqual(await differences(one), [0, 0, 0, 0, 0]);
  t.false(one.lines.some(({ msg }) => msg === message));

  const other = await openReplica(t, endpoint, keys, {
    HOLDFAST_LINGER_SECONDS: '5',
    HOLDFAST_CALL_TTL_SECONDS: '60',
    HOLDFAST_WITHOUT_QUORUM: 'strict',
  });
  const elsewhere = await openReplica(t, endpoint, newKeyspace());
  await Promise.all([other.ready, elsewhere.ready]);
  await eventually(async () => `${await differences(one)}` === '1,1,1,1,0', 'the differences');
  await eventually(async () => `${await differences(elsewhere)}` === '0,0,0,3,0', 'the prefixes');
  const told = one.lines.find(
    ({ msg, settings }) => msg === message && JSON.stringify(settings ?? '').includes('LINGER'),
  );
  t.like(told, {
    level: 40,
    settings: {
      HOLDFAST_LINGER_SECONDS: { here: 30, there: 5 },
      HOLDFAST_CALL_TTL_SECONDS: { here: 3600, there: 60 },
      HOLDFAST_WITHOUT_QUORUM: { here: 'available', there: 'strict' },
    },
  });
  t.true(String(told?.['replica']).includes(other.grpc));
});
