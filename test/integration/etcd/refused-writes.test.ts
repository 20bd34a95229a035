import type { ExecutionContext } from 'ava';
import { Freshness } from '../../../proto/generated/holdfast/v1/selection.js';
import '../../chart/tools.js';
import { connect, startRealEtcd } from '../../support/etcd.js';
import { startProcess } from '../../support/process.js';
import { findProgram } from '../../support/program.js';
import { Scrape } from '../../support/prometheus.js';
import { aRelay, eventually, newKeyspace, putRelay } from '../../support/registry.js';
import { failure, openReplica, select } from '../../support/replica.js';
import { testWith } from '../../support/requirement.js';
import { logOf, startRelayNode } from '../../support/stack.js';

const short = { HOLDFAST_ETCD_TIMEOUT_MS: '1000' };

/** etcd goes on to answer reads and keepalives, and refuses every write. */
interface Refusal {
  readonly reason: RegExp;
  begin(): Promise<unknown>;
  end(): Promise<unknown>;
}

/** What a replica says of itself over HTTP. */
async function statusOf(http: string) {
  const ready = await fetch(`http://${http}/readyz`);
  const metrics = await (await fetch(`http://${http}/metrics`)).text();
  const [, lost = ''] = /^holdfast_etcd_lost_seconds (.*)$/m.exec(metrics) ?? [];
  return { code: ready.status, text: await ready.text(), lostSeconds: Number(lost) };
}

async function behaves(
  t: ExecutionContext,
  etcd: string,
  relays: readonly string[],
  keys: ReturnType<typeof newKeyspace>,
  login: Readonly<Record<string, string>>,
  refusal: Refusal,
): Promise<void> {
  const one = await openReplica(t, etcd, keys, { ...short, ...login });
  const strict = await openReplica(t, etcd, keys, {
    ...short,
    ...login,
    HOLDFAST_WITHOUT_QUORUM: 'strict',
  });
  await Promise.all([one.ready, strict.ready]);
  t.is((await select(one.selection, { callId: 'known' })).freshness, Freshness.FRESH);
  await select(strict.selection, { callId: 'known' });
  t.is((await statusOf(one.http)).lostSeconds, 0);

  await refusal.begin();
  const begunAtMs = performance.now();
  const replicas = [one, strict];
  const areLost = async () =>
    (await Promise.all(replicas.map(({ http }) => statusOf(http)))).every(
      ({ lostSeconds }) => lostSeconds > 0,
    );
  // Nobody writes: that writes are refused is found out all the same.
  await eventually(areLost, 'loss');
  t.log(`lost for writes after ${Math.round(performance.now() - begunAtMs)} ms`);

  for (let i = 0; i < 25; i++) {
    const answer = await select(one.selection, { callId: `new-${i}` });
    t.is(answer.freshness, Freshness.PROVISIONAL);
    t.true(relays.includes(answer.binding?.relay?.id ?? ''));
  }
  t.regex((await failure(select(strict.selection, { callId: 'new' }))).message, refusal.reason);
  for (const { selection } of replicas) {
    t.is((await select(selection, { callId: 'known' })).freshness, Freshness.STALE);
  }
  const [open, closed] = [await statusOf(one.http), await statusOf(strict.http)];
  t.is(open.code, 200);
  t.regex(open.text, refusal.reason);
  t.is(closed.code, 503);
  t.regex(closed.text, refusal.reason);
  for (const { lines } of replicas) {
    const told = lines.filter(({ level, settings }) => Number(level) >= 40 && !settings);
    t.is(told.length, 1, JSON.stringify(told));
    t.regex(String(told[0]?.reason), refusal.reason);
  }

  await refusal.end();
  const endedAtMs = performance.now();
  const areBack = async () =>
    (await Promise.all(replicas.map(({ http }) => statusOf(http)))).every(
      ({ lostSeconds, text }) => lostSeconds === 0 && text === 'ok\n',
    );
  await eventually(areBack, 'return');
  t.log(`back after ${Math.round(performance.now() - endedAtMs)} ms`);
  for (const callId of ['new-0', 'new-24', 'known', 'another']) {
    await eventually(
      async () => (await select(one.selection, { callId })).freshness === Freshness.FRESH,
      `binding of ${callId}`,
    );
  }
}

async function setUpRelays(t: ExecutionContext, etcd: string) {
  const keys = newKeyspace();
  const client = connect(t, etcd);
  for (const id of ['r1', 'r2']) {
    await putRelay(client, keys, aRelay({ id }));
  }
  return { keys, client };
}

for (const program of ['etcd', 'etcd-3.6']) {
  testWith.serial([program], `${program}: without space left, writes count as lost`, async (t) => {
    const etcd = await startRealEtcd(t, [], findProgram(program));
    const { keys, client } = await setUpRelays(t, etcd.endpoint);
    const alarm = (action: 'Activate' | 'Deactivate') =>
      client.maintenance.alarm({ action, memberID: '0', alarm: 'Nospace' });
    await behaves(
      t,
      etcd.endpoint,
      ['r1', 'r2'],
      keys,
      {},
      {
        reason: /etcd refuses writes: its space is exhausted: .*alarm disarm/,
        begin: () => alarm('Activate'),
        end: () => alarm('Deactivate'),
      },
    );
  });

  testWith.serial(
    [program],
    `${program}: a relay node stays registered without space, and tells`,
    async (t) => {
      const etcd = await startRealEtcd(t, [], findProgram(program));
      const client = connect(t, etcd.endpoint);
      const node = await startRelayNode(t, { id: 'r1', etcd: etcd.endpoint });
      const reportAge = async () =>
        (await Scrape.of(node.http)).value('holdfast_relay_report_age_seconds') ?? 0;
      const isReady = async () => (await fetch(`http://${node.http}/readyz`)).status === 200;
      // A report is repeated after 5 s.
      const isReported = async () => (await reportAge()) < 7;
      await eventually(isReady, 'registration');
      t.true(await isReported());
      await client.maintenance.alarm({ action: 'Activate', memberID: '0', alarm: 'Nospace' });
      await eventually(async () => !(await isReported()), 'age of the last report');
      t.true(await isReady(), 'its lease is kept alive: it keeps its calls');
      const told = logOf(node.process).filter(({ level }) => level >= 40);
      t.is(told.length, 1, JSON.stringify(told));
      t.regex(String(told[0]?.reason), /database space exceeded/);
      await client.maintenance.alarm({ action: 'Deactivate', memberID: '0', alarm: 'Nospace' });
      await eventually(isReported, 'report');
      t.true(await isReady());
    },
  );

  testWith.serial(
    [program, 'etcdctl'],
    `${program}: to a user who must not write any more, writes count as lost`,
    async (t) => {
      const etcd = await startRealEtcd(t, ['--bcrypt-cost', '4'], findProgram(program));
      const { keys } = await setUpRelays(t, etcd.endpoint);
      const prefix = keys.calls.replace(/calls\/$/, '');
      const etcdctl = async (...args: string[]) => {
        const all = ['--endpoints', etcd.endpoint, ...args];
        const child = await startProcess(t, findProgram('etcdctl') ?? '', all, { env: { ETCDCTL_API: '3' } });
        const { code } = await child.exited;
        t.is(code, 0, child.output);
      };
      const grant = ['role', 'grant-permission', 'replica', '--prefix'];
      await etcdctl('role', 'add', 'replica');
      await etcdctl(...grant, 'read', prefix);
      await etcdctl(...grant, 'readwrite', keys.calls);
      await etcdctl(...grant, 'readwrite', keys.moves);
      await etcdctl(...grant, 'readwrite', keys.replicas);
      await etcdctl('user', 'add', 'replica:secret');
      await etcdctl('user', 'grant-role', 'replica', 'replica');
      await etcdctl('user', 'add', 'root:secret');
      await etcdctl('user', 'grant-role', 'root', 'root');
      await etcdctl('auth', 'enable');
      const asRoot = ['--user', 'root:secret'];
      const login = { HOLDFAST_ETCD_USERNAME: 'replica', HOLDFAST_ETCD_PASSWORD: 'secret' };
      await behaves(t, etcd.endpoint, ['r1', 'r2'], keys, login, {
        reason: /etcd refuses writes: etcd does not permit this to the user/,
        begin: () => etcdctl(...asRoot, 'role', 'revoke-permission', 'replica', '--prefix', keys.calls),
        end: () => etcdctl(...asRoot, ...grant, 'readwrite', keys.calls),
      });
    },
  );
}
