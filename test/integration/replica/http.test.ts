import test from 'ava';
import { startEmbeddedEtcd } from '../../support/etcd.js';
import { Scrape } from '../../support/prometheus.js';
import { aRelay, deleteRelay, eventually } from '../../support/registry.js';
import { failure, listRelays, move, release, replicaScene, select } from '../../support/replica.js';
import { startRelayNode } from '../../support/stack.js';

async function ask(http: string, path: string, method = 'GET') {
  const response = await fetch(`http://${http}${path}`, { method });
  return { status: response.status, text: await response.text(), headers: response.headers };
}

test('a replica answers probes, and says what it does not have', async (t) => {
  const { http } = await replicaScene(t);
  t.like(await ask(http, '/livez'), { status: 200, text: 'ok\n' });
  t.like(await ask(http, '/readyz'), { status: 200, text: 'ok\n' });
  t.like(await ask(http, '/readyz?verbose=1'), { status: 200 });
  t.like(await ask(http, '/livez', 'HEAD'), { status: 200, text: '' });
  for (const path of ['/metricsx', '/../etc/passwd', '//livez', '/page.html', '/static/page.js']) {
    t.like(await ask(http, path), { status: 404, text: 'try /metrics, /livez or /readyz\n' }, path);
  }
  for (const method of ['POST', 'PUT', 'DELETE']) {
    const refused = await ask(http, '/metrics', method);
    t.is(refused.status, 405);
    t.is(refused.headers.get('allow'), 'GET, HEAD');
  }
});

test("a replica's metrics are Prometheus text, and count what it does", async (t) => {
  const { client, keys, selection, relays, http, lines } = await replicaScene(t);
  t.regex((await ask(http, '/metrics')).headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
  const before = await Scrape.of(http);
  t.is(before.value('holdfast_bindings_created_total'), 0);
  t.is(before.value('holdfast_relays'), 3);
  t.is(before.value('holdfast_registry_live'), 1);
  t.is(before.types.get('holdfast_request_duration_seconds'), 'histogram');

  const { binding } = await select(selection, { callId: 'a', requestId: 'one' });
  await select(selection, { callId: 'a', requestId: 'two' });
  await move(selection, { callId: 'a', generation: 1n });
  await select(selection, { callId: 'b' });
  await release(selection, 'b');
  await failure(select(selection, { callId: '' }));
  await failure(select(selection, { callId: 'c', set: 'empty' }));
  await deleteRelay(client, keys, aRelay({ id: String(binding?.relay?.id) }));
  await eventually(async () => (await listRelays(relays)).relays.length === 2, 'leave');

  const after = await Scrape.of(http);
  for (const [name, value] of [
    ['bindings_created_total', 2],
    ['bindings_moved_total', 1],
    ['bindings_refreshed_total', 1],
    ['bindings_released_total', 1],
    ['cached_bindings', 2],
    ['relays', 2],
    ['etcd_failed_commits_total', 0],
    ['etcd_operations_waiting', 0],
  ] as const) {
    t.is(after.value(`holdfast_${name}`), value, name);
  }
  t.true((after.value('holdfast_etcd_commits_total') ?? 0) >= 4);
  t.true((after.value('holdfast_etcd_operations_total') ?? 0) >= 4);
  t.true((after.value('holdfast_etcd_commit_duration_seconds_count') ?? 0) >= 4);
  const answers = (origin: string) =>
    after.value('holdfast_select_answers_total', { origin, freshness: 'fresh' });
  t.deepEqual([answers('new'), answers('existing')], [2, 1]);
  const counted = (command: string, result: string) =>
    after.value('holdfast_requests_total', { front: 'grpc', command, result });
  t.is(counted('Select', 'ok'), 3);
  t.is(counted('Select', 'invalid_argument'), 1);
  t.is(counted('Select', 'unavailable'), 1);
  t.is(counted('Move', 'ok'), 1);
  t.is(after.value('holdfast_request_duration_seconds_count', { front: 'grpc', command: 'Select' }), 5);
  t.is(after.value('holdfast_calls_refused_total', { front: 'grpc', cause: 'no_relay' }), 1);
  t.is(after.value('holdfast_calls_refused_total'), 1, 'a malformed request is no call');
  t.is(lines.filter(({ msg }) => msg === 'call refused').length, 1);
  t.is(after.value('holdfast_build_info', { node: process.version }), 1);
  t.true((after.value('process_cpu_seconds_total') ?? 0) > 0);
});

test('a relay node answers probes, and its metrics count its calls', async (t) => {
  const { endpoint } = await startEmbeddedEtcd(t);
  const { http } = await startRelayNode(t, { id: 'r1', etcd: endpoint });
  await eventually(async () => (await ask(http, '/readyz')).status === 200, 'ready');
  t.like(await ask(http, '/livez'), { status: 200, text: 'ok\n' });
  t.is((await ask(http, '/nothing')).status, 404);
  t.is((await ask(http, '/readyz', 'POST')).status, 405);
  const scrape = await Scrape.of(http);
  t.is(scrape.value('holdfast_relay_ready'), 1);
  t.is(scrape.value('holdfast_relay_calls'), 0);
  t.true((scrape.value('holdfast_relay_report_age_seconds') ?? 60) < 60);
});
