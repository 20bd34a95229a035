import { status } from '@grpc/grpc-js';
import test from 'ava';
import { Freshness, Origin } from '../../proto/generated/holdfast/v1/selection.js';
import { connect, startEmbeddedEtcd } from '../support/etcd.js';
import { HealthClient } from '../support/health.js';
import { freeTcpPort } from '../support/ports.js';
import { aRelay, eventually, newKeyspace, putRelay } from '../support/registry.js';
import { failure, listRelays, openReplica, replicaScene, select } from '../support/replica.js';

const readyz = async (http: string) => {
  const response = await fetch(`http://${http}/readyz`);
  return { status: response.status, text: await response.text() };
};

test('without etcd at the start a replica says so everywhere, and is ready by itself once etcd is there', async (t) => {
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
  t.is(warning?.['msg'], 'cannot hear etcd; trying again');
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

test('when etcd goes away later, known calls are answered as stale and new ones are refused', async (t) => {
  const { etcd, selection, relays, http } = await replicaScene(t);
  const { binding } = await select(selection, { callId: 'known' });
  await etcd.stop();
  await eventually(async () => !(await listRelays(relays)).fresh, 'stale list');
  const known = await select(selection, { callId: 'known' });
  t.is(known.freshness, Freshness.STALE);
  t.is(known.origin, Origin.EXISTING);
  t.is(known.binding?.relay?.id, binding?.relay?.id);
  const refused = await failure(select(selection, { callId: 'new' }));
  t.is(refused.code, status.UNAVAILABLE);
  t.regex(refused.details, /^etcd did not answer while committing/);
  t.is((await readyz(http)).status, 200, 'it still answers what it knows');
});
