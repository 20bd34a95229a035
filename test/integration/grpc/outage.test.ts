import { status } from '@grpc/grpc-js';
import test from 'ava';
import { Freshness, Origin } from '../../../proto/generated/holdfast/v1/selection.js';
import { connect, startEmbeddedEtcd } from '../../support/etcd.js';
import { HealthClient } from '../../support/health.js';
import { freeTcpPort } from '../../support/ports.js';
import { Scrape } from '../../support/prometheus.js';
import { aRelay, eventually, newKeyspace, putRelay } from '../../support/registry.js';
import { failure, listRelays, openReplica, replicaScene, select } from '../../support/replica.js';

const readyz = async (http: string) => {
  const response = await fetch(`http://${http}/readyz`);
  return { status: response.status, text: await response.text() };
};

test('without etcd at the start a replica reports it everywhere, and becomes ready once etcd is there', async (t) => {
  const port = await freeTcpPort();
  const keys = newKeyspace();
  const replica = await openReplica(t, `127.0.0.1:${port}`, keys);
  const health = new HealthClient(t, replica.grpc);

  const refused = await failure(select(replica.selection, { callId: 'early' }));
  t.is(refused.code, status.UNAVAILABLE);
  t.is(refused.details, 'this replica has not read from etcd yet what relays there are');
  t.is((await failure(listRelays(replica.relays))).code, status.UNAVAILABLE);
  t.is(await health.check(''), 'NOT_SERVING');
  t.deepEqual(await readyz(replica.http), {
    status: 503,
    text: `not ready: ${refused.details}\n`,
  });
  t.is((await fetch(`http://${replica.http}/livez`)).status, 200);

  const warnings = () => replica.lines.filter(({ level }) => Number(level) >= 40);
  await eventually(() => warnings().length > 0, 'warning');
  const [warning] = warnings();
  t.is(warning?.['msg'], 'cannot reach etcd; trying again');
  t.regex(String(warning?.['reason']), new RegExp(`ECONNREFUSED 127\\.0\\.0\\.1:${port}`));
  const before = warnings().length;
  const listening = replica.lines.find(({ msg }) => msg === 'listening; reading etcd');
  t.deepEqual(listening?.['etcd'], [`127.0.0.1:${port}`]);

  const etcd = await startEmbeddedEtcd(t, { port });
  await putRelay(connect(t, etcd.endpoint), keys, aRelay({ id: 'r1' }));
  await replica.ready;
  t.is((await readyz(replica.http)).status, 200);
  t.is(await health.check('holdfast.v1.SelectionService'), 'SERVING');
  await eventually(
    async () => (await select(replica.selection, { callId: 'early' }).catch(() => undefined)) !== undefined,
    'answer',
  );
  t.true(before <= 4 && warnings().length <= 4, 'one line per kind of thing heard, not one per attempt');
});

test('when etcd goes away later, known calls are answered as stale and new ones provisionally', async (t) => {
  const { etcd, selection, relays, http, lines } = await replicaScene(t);
  const { binding } = await select(selection, { callId: 'known' });
  await etcd.stop();
  await eventually(async () => !(await listRelays(relays)).fresh, 'stale list');
  const known = await select(selection, { callId: 'known' });
  t.is(known.freshness, Freshness.STALE);
  t.is(known.origin, Origin.EXISTING);
  t.is(known.binding?.relay?.id, binding?.relay?.id);
  const first = await select(selection, { callId: 'new', requestId: 'first' });
  t.is(first.freshness, Freshness.PROVISIONAL);
  t.is(first.binding?.generation, 0n);
  t.is(first.origin, Origin.NEW);
  const again = await select(selection, { callId: 'new', requestId: 'again' });
  t.is(again.freshness, Freshness.PROVISIONAL);
  t.is(again.origin, Origin.EXISTING);
  t.is(again.binding?.relay?.id, first.binding?.relay?.id);

  const { status: code, text } = await readyz(http);
  t.is(code, 200, 'it still answers');
  t.regex(text, /^ok, but etcd is out of reach: /);
  const metrics = await Scrape.of(http);
  t.true((metrics.value('holdfast_etcd_lost_seconds') ?? 0) > 0);
  t.is(metrics.value('holdfast_provisional_bindings'), 1);
  const changes = lines.filter(({ msg }) => String(msg).startsWith('etcd lost'));
  t.is(changes.length, 1);
  t.is(changes[0]?.['newCalls'], 'provisional');
});

test('in strict mode new calls are refused meanwhile, and the replica is not ready', async (t) => {
  const { etcd, selection, grpc, http, lines } = await replicaScene(t, undefined, {
    HOLDFAST_WITHOUT_QUORUM: 'strict',
  });
  const health = new HealthClient(t, grpc);
  const port = Number(etcd.endpoint.split(':').at(-1));
  await select(selection, { callId: 'known' });
  t.is(await health.check('holdfast.v1.SelectionService'), 'SERVING');
  await etcd.stop();
  await eventually(
    async () => (await readyz(http)).status === 503,
    'the loss to be noticed without any request',
  );
  const refused = await failure(select(selection, { callId: 'new' }));
  t.is(refused.code, status.UNAVAILABLE);
  t.regex(refused.details, /^etcd is out of reach: /);
  t.is((await select(selection, { callId: 'known' })).freshness, Freshness.STALE);
  t.is(await health.check('holdfast.v1.SelectionService'), 'NOT_SERVING');

  await startEmbeddedEtcd(t, { port });
  await eventually(async () => (await readyz(http)).status === 200, 'readiness');
  t.is(await health.check('holdfast.v1.SelectionService'), 'SERVING');
  t.deepEqual(
    lines.map(({ msg }) => String(msg)).filter((msg) => /^etcd (lost|answers)/.test(msg)),
    ['etcd lost: known calls are answered from memory', 'etcd answers again'],
  );
});
