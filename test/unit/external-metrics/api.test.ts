import test from 'ava';
import { externalMetricsRoutes } from '../../../services/external-metrics/api.js';
import { ManualClock } from '../../support/clock.js';

const root = '/apis/external.metrics.k8s.io/v1beta1';
const metric = `${root}/namespaces/sip/holdfast_relays_in_use`;

function scene() {
  const clock = new ManualClock();
  let reason: string | undefined;
  const inUse = new Map([
    ['default', 2.5],
    ['edge', 0.0004],
  ]);
  const routes = externalMetricsRoutes(
    { relaysInUse: () => inUse, outdated: () => reason, clock },
    { namespace: 'sip', release: 'one' },
  );
  return {
    clock,
    ask: async (url: string) => {
      const { pathname: path, searchParams: query } = new URL(url, 'https://replica');
      const answer = await routes({ path, query, headers: {} });
      assertJson(answer?.headers?.['content-type']);
      return { status: answer?.status, value: JSON.parse(String(answer?.body)) };
    },
    outdate: (text: string) => {
      reason = text;
    },
  };
}

function assertJson(type: string | undefined): void {
  if (type !== 'application/json') {
    throw new Error(`the API server reads JSON, and got ${type}`);
  }
}

test('the API server finds the API, and the metric in it', async (t) => {
  const { status, value } = await scene().ask(root);
  t.is(status, 200);
  t.like(value, { kind: 'APIResourceList', groupVersion: 'external.metrics.k8s.io/v1beta1' });
  t.like(value.resources[0], { name: 'holdfast_relays_in_use', namespaced: true, verbs: ['get'] });
});

test('a set has a value in thousandths, with the time and the labels that tell it from others', async (t) => {
  const { ask, clock } = scene();
  const { status, value } = await ask(`${metric}?labelSelector=set%3Ddefault%2Crelease%3Done`);
  t.is(status, 200);
  t.deepEqual(value, {
    kind: 'ExternalMetricValueList',
    apiVersion: 'external.metrics.k8s.io/v1beta1',
    metadata: {},
    items: [
      {
        metricName: 'holdfast_relays_in_use',
        metricLabels: { set: 'default', release: 'one' },
        timestamp: new Date(clock.wallMs()).toISOString(),
        value: '2500m',
      },
    ],
  });
  const all = (await ask(metric)).value.items as { readonly value: string }[];
  t.deepEqual(
    all.map((item) => item.value),
    ['2500m', '0m'],
  );
});

test('nobody gets the figures of another release, or of another namespace', async (t) => {
  const { ask } = scene();
  t.deepEqual((await ask(`${metric}?labelSelector=set%3Ddefault%2Crelease%3Dother`)).value.items, []);
  const elsewhere = await ask(metric.replace('/sip/', '/other/'));
  t.like(elsewhere, { status: 200 });
  t.deepEqual(elsewhere.value.items, []);
});

test('figures that are not of now are not told: an autoscaler without them changes nothing', async (t) => {
  const { ask, outdate } = scene();
  outdate('etcd does not answer');
  t.like(await ask(metric), {
    status: 503,
    value: { kind: 'Status', status: 'Failure', code: 503, message: 'etcd does not answer' },
  });
  t.is((await ask(root)).status, 200, 'the API is there: discovery of all others would fail with it');
});

test('what is not there is not found, and what is not understood is refused', async (t) => {
  const { ask } = scene();
  for (const path of [
    '/apis',
    `${root}/namespaces`,
    `${root}/namespaces/sip/calls`,
    `${metric}/one`,
    '/metric',
  ]) {
    t.like(await ask(path), { status: 404, value: { reason: 'NotFound', code: 404 } }, path);
  }
  const refused = await ask(`${metric}?labelSelector=set%20in%20(a)`);
  t.is(refused.status, 400);
  t.regex(refused.value.message, /labelSelector="set in \(a\)": allowed: KEY=VALUE/);
});
