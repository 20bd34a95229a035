import dns from 'node:dns';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { IMember } from 'etcd3';
import { Freshness } from '../../../proto/generated/holdfast/v1/selection.js';
import { MemberFollower } from '../../../services/etcd/member-follower.js';
import { PrefixMirror } from '../../../services/etcd/prefix-mirror.js';
import { RelayRegistration } from '../../../services/registry/relay-registration.js';
import { systemClock } from '../../../services/runtime/clock.js';
import { silentLogger } from '../../../services/runtime/log.js';
import '../../chart/tools.js';
import { connect, type RealEtcd, startRealEtcd, startRealEtcdCluster } from '../../support/etcd.js';
import { freeTcpPort, freeTcpPorts } from '../../support/ports.js';
import { startProcess } from '../../support/process.js';
import { findProgram } from '../../support/program.js';
import {
  aRelay,
  eventually,
  newKeyspace,
  openConnection,
  putRelay,
  registryDeps,
  startOf,
} from '../../support/registry.js';
import { type InProcessReplica, listRelays, openReplica, select } from '../../support/replica.js';
import { testWith } from '../../support/requirement.js';
import { TcpProxy } from '../../support/tcp-proxy.js';

const short = { HOLDFAST_ETCD_TIMEOUT_MS: '1000' };
/** Limit of the time until all is as before, on a machine that is busy with other tests; the log says what it took. */
const healedMs = 30_000;

const freshness = async ({ selection }: InProcessReplica, callId: string) =>
  (await select(selection, { callId })).freshness;
/** It hears of changes as they happen. */
const isLive = async ({ relays }: InProcessReplica) => (await listRelays(relays)).fresh;
const isFresh = async (replica: InProcessReplica, callId: string) =>
  (await freshness(replica, callId).catch(() => undefined)) === Freshness.FRESH && isLive(replica);

async function heals(t: ExecutionContext, replica: InProcessReplica, call: string): Promise<void> {
  const sinceMs = performance.now();
  await eventually(() => isFresh(replica, `${call}-${performance.now()}`), 'fresh answer', healedMs);
  t.log(`${call}: healed after ${Math.round(performance.now() - sinceMs)} ms`);
}

testWith.serial(
  ['etcd'],
  'an endpoint of another cluster is refused, even while it alone answers',
  async (t) => {
    const [ours, other] = [await startRealEtcd(t), await startRealEtcd(t)];
    const keys = newKeyspace();
    await putRelay(connect(t, ours.endpoint), keys, aRelay({ id: 'r1' }));
    await putRelay(connect(t, other.endpoint), keys, aRelay({ id: 'stranger', instance: 'of-another' }));
    const one = await openReplica(t, `${ours.endpoint},${other.endpoint}`, keys, short);
    await one.ready;
    t.is(await freshness(one, 'known'), Freshness.FRESH);
    const refusals = () =>
      one.lines.filter(({ msg }) => /of another etcd cluster; its answers are ref/.test(String(msg)));
    t.is(refusals().length, 1, 'told at the start');
    t.like(refusals()[0], { level: 40, endpoint: other.endpoint });

    await ours.kill();
    await eventually(async () => (await freshness(one, 'known')) === Freshness.STALE, 'loss');
    for (let i = 0; i < 20; i++) {
      const { binding, ...answer } = await select(one.selection, { callId: `new-${i}` });
      t.is(answer.freshness, Freshness.PROVISIONAL);
      t.is(binding?.relay?.id, 'r1');
    }
    t.is(await freshness(one, 'known'), Freshness.STALE);
    t.deepEqual(
      (
        await connect(t, other.endpoint).kv.range({
          key: Buffer.from(keys.calls),
          range_end: Buffer.from(`${keys.calls}~`),
        })
      ).kvs,
      [],
    );
    t.true(refusals().length <= 2, 'and not with every answer');
    await ours.restart();
    await eventually(() => isFresh(one, 'again'), 'fresh answer');
  },
);

testWith.serial(
  ['etcd'],
  'a watch or a lease of another cluster is refused, and no view has both',
  async (t) => {
    const [ours, other] = [await startRealEtcd(t), await startRealEtcd(t)];
    const [client, foreign] = [connect(t, ours.endpoint), connect(t, other.endpoint)];
    const proxy = await TcpProxy.start(t, ours.endpoint);
    const connection = openConnection(t, proxy.endpoint, 1000);
    const put = (etcd: typeof client, name: string) =>
      etcd.kv.put({ key: Buffer.from(`/view/${name}`), value: Buffer.from(name) });
    await put(client, 'ours');
    await connection.range({ key: Buffer.from('/view/ours') });
    // Reads and writes have their connection; those of watches and leases lead to the other cluster.
    proxy.redirect(other.endpoint);
    for (let i = 0; i < 20; i++) {
      await put(foreign, `theirs-${i}`);
    }
    const deps = { connection, clock: systemClock, log: silentLogger };
    const seen: string[] = [];
    const mirror = new PrefixMirror(deps, {
      prefix: '/view/',
      decode: (_name, bytes) => bytes.toString(),
      onChange: (name, entry) => seen.push(entry ? name : `-${name}`),
    });
    await mirror.start();
    t.teardown(() => mirror.stop());
    await t.throwsAsync(connection.grantLease(10), {
      message: /is of the etcd cluster \d+, and the one in use is \d+/,
    });
    // What is read goes on; the watch is tried again and again, and never counts.
    await put(client, 'ours-2');
    await eventually(() => mirror.entries.has('ours-2'), 'the second');
    await client.kv.deleteRange({ key: Buffer.from('/view/ours') });
    await put(foreign, 'theirs-last');
    await eventually(() => !mirror.entries.has('ours'), 'the end of the first');
    t.false(mirror.live);
    t.deepEqual(seen, ['ours', 'ours-2', '-ours']);
    proxy.redirect(ours.endpoint);
    await eventually(() => mirror.live, 'a watch', healedMs);
  },
);

/** Adds a member to the cluster, and runs it. */
async function addMember(t: ExecutionContext, program: string, name: string, voter: string) {
  const [clientPort = 0, peerPort = 0] = await freeTcpPorts(2);
  const [peerUrl, clientUrl] = [`http://127.0.0.1:${peerPort}`, `http://127.0.0.1:${clientPort}`];
  const client = connect(t, voter);
  // etcd adds none before all members have been connected for 5 s, so that nobody can miss a change.
  let members: IMember[] = [];
  await eventually(async () => {
    ({ members } = await client.cluster.memberAdd({ peerURLs: [peerUrl] }).catch(() => ({ members })));
    return members.length > 0;
  }, 'healthy cluster');
  const cluster = members.map((each) => `${each.name || name}=${each.peerURLs[0]}`).join(',');
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-member-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const child = await startProcess(t, program, [
    ...['--name', name, '--data-dir', directory],
    ...['--initial-cluster', cluster, '--initial-cluster-state', 'existing'],
    ...['--listen-client-urls', clientUrl, '--advertise-client-urls', clientUrl],
    ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
  ]);
  const isHealthy = async () =>
    ((await (await fetch(`${clientUrl}/health`)).json()) as { health: string }).health === 'true';
  await child.waitUntil(isHealthy, 'healthy answer');
  return `127.0.0.1:${clientPort}`;
}

async function removeMember(t: ExecutionContext, gone: RealEtcd, voter: string): Promise<void> {
  const client = connect(t, voter);
  const { members } = await client.cluster.memberList({});
  const { ID = '' } = members.find(({ name }) => name === gone.member.name) ?? {};
  const removed = () =>
    client.cluster.memberRemove({ ID }).then(
      () => true,
      () => false,
    );
  await eventually(removed, 'removal');
  await gone.kill();
}

for (const name of ['etcd', 'etcd-3.6']) {
  testWith.serial([name], `${name}: all members that were listed are replaced, one by one`, async (t) => {
    const program = findProgram(name) ?? '';
    const listed = await startRealEtcdCluster(t, 3, [], undefined, program);
    const endpoints = listed.map(({ endpoint }) => endpoint).join(',');
    const keys = newKeyspace();
    await putRelay(connect(t, listed[0]?.endpoint ?? ''), keys, aRelay({ id: 'r1' }));
    const one = await openReplica(t, endpoints, keys, short);
    await one.ready;
    const connection = openConnection(t, endpoints, 1000);
    const follower = new MemberFollower({ connection, clock: systemClock, log: silentLogger });
    follower.start();
    t.teardown(() => follower.stop());
    const mine = aRelay({ id: 'r2' });
    const registration = new RelayRegistration(
      { ...registryDeps(t, endpoints, { keys }), connection },
      mine,
      startOf(mine),
    );
    registration.start();
    t.teardown(() => registration.stop());
    await eventually(() => registration.registered, 'registration');
    let voter = listed.at(-1)?.endpoint ?? '';
    for (const [i, gone] of listed.entries()) {
      const added = await addMember(t, program, `new${i}`, voter);
      voter = added;
      await removeMember(t, gone, voter);
      await heals(t, one, `without-${i + 1}`);
      await eventually(() => registration.registered, 'registration', healedMs);
    }
    t.true(one.lines.length < 100, `${one.lines.length} lines`);
  });
}

testWith.serial(
  ['etcd'],
  'a name that gets another address is followed, and the former one may be silent',
  async (t) => {
    const etcd = await startRealEtcd(t);
    const keys = newKeyspace();
    const client = connect(t, etcd.endpoint);
    await putRelay(client, keys, aRelay({ id: 'r1' }));
    const port = await freeTcpPort();
    const before = await TcpProxy.start(t, etcd.endpoint, { host: '127.0.0.2', port });
    const after = await TcpProxy.start(t, etcd.endpoint, { host: '127.0.0.3', port });
    const { lookup } = dns.promises;
    let address = '127.0.0.2';
    dns.promises.lookup = ((name: string, options: never) =>
      name === 'etcd.test'
        ? Promise.resolve([{ address, family: 4 }])
        : lookup(name, options)) as typeof lookup;
    t.teardown(() => {
      dns.promises.lookup = lookup;
    });
    const one = await openReplica(t, `etcd.test:${port}`, keys, short);
    await one.ready;
    t.true(await isFresh(one, 'known'));
    for (const [moved, former, fails] of [
      ['127.0.0.3', before, 'silent'],
      ['127.0.0.2', after, 'closed'],
    ] as const) {
      const lines = one.lines.length;
      address = moved;
      if (fails === 'silent') {
        former.freeze();
      } else {
        before.restore();
        former.cut();
      }
      await putRelay(client, keys, aRelay({ id: `heard-${fails}` }));
      const sinceMs = performance.now();
      const hears = async () =>
        (await listRelays(one.relays)).relays.some(({ id }) => id === `heard-${fails}`);
      await eventually(hears, 'news by watch', healedMs);
      t.log(`${fails}: heard after ${Math.round(performance.now() - sinceMs)} ms`);
      await heals(t, one, fails);
      t.true(one.lines.length - lines < 30, `${one.lines.length - lines} lines`);
    }
  },
);
