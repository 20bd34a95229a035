import { X509Certificate } from 'node:crypto';
import { testWith } from '../support/requirement.js';
import { render } from './chart.js';
import { kubernetesApi, type LiveObject } from './kubernetes-api.js';
import { renderTools } from './tools.js';

/** Scaling of relays by their calls, with the API that the autoscaler asks. */

const secretName = 'holdfast-external-metrics';
const apiName = 'v1beta1.external.metrics.k8s.io';
const enabled = { relay: { autoscaling: { enabled: true, metricsApi: { enabled: true } } } };
/** What every API server publishes whose aggregation layer is on. */
const published: LiveObject = {
  kind: 'ConfigMap',
  metadata: { name: 'extension-apiserver-authentication', namespace: 'kube-system' },
  data: {
    'requestheader-client-ca-file': '-----BEGIN CERTIFICATE-----\npublished\n-----END CERTIFICATE-----\n',
    'requestheader-allowed-names': '["front-proxy-client","other"]',
  },
};
const api = (release: string): LiveObject => ({
  kind: 'APIService',
  metadata: {
    name: apiName,
    annotations: { 'meta.helm.sh/release-namespace': 'sip', 'meta.helm.sh/release-name': release },
  },
});

testWith(renderTools, 'the autoscaler of relays aims at a share of their capacity', async (t) => {
  const rendered = await render('relay-autoscaling');
  const { metrics, ...spec } = rendered.find('HorizontalPodAutoscaler', 'holdfast-relay').spec ?? {};
  t.deepEqual(spec, {
    scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'holdfast-relay' },
    minReplicas: 1,
    maxReplicas: 20,
    behavior: {
      scaleDown: {
        stabilizationWindowSeconds: 300,
        policies: [{ type: 'Pods', value: 1, periodSeconds: 60 }],
      },
    },
  });
  const selector = { matchLabels: { set: 'default', release: 'holdfast' } };
  t.deepEqual(metrics, [
    {
      type: 'External',
      external: {
        metric: { name: 'holdfast_relays_in_use', selector },
        target: { type: 'AverageValue', averageValue: '700m' },
      },
    },
  ]);
  t.is(rendered.pod('Deployment', 'holdfast-relay').spec.terminationGracePeriodSeconds, 14_415);
  t.is(rendered.find('PodDisruptionBudget', 'holdfast-relay').spec?.['maxUnavailable'], 1);
  const numbered = (await render('everything')).find('HorizontalPodAutoscaler', 'calls-relay');
  t.like(numbered.spec, { scaleTargetRef: { kind: 'StatefulSet', name: 'calls-relay' } });
});

testWith(renderTools, 'a Deployment of relays starts the next one before one leaves', async (t) => {
  const rendered = await render('defaults', { relay: { workload: 'Deployment', replicas: 5 } });
  t.like(rendered.find('Deployment', 'holdfast-relay').spec, {
    replicas: 5,
    strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
  });
  const numbered = (await render()).pod('StatefulSet', 'holdfast-relay');
  t.deepEqual(rendered.pod('Deployment', 'holdfast-relay'), numbered, 'the same pods');
  t.false(rendered.names.includes('StatefulSet/holdfast-relay'));
  t.true(rendered.names.includes('PodDisruptionBudget/holdfast-relay'));
});

testWith(
  renderTools,
  'the certificate of the API is for its Service, and signed by what the cluster trusts',
  async (t) => {
    const rendered = await render('relay-autoscaling');
    const { data = {} } = rendered.find('Secret', secretName);
    const decoded = (key: string) => Buffer.from(data[key] ?? '', 'base64').toString();
    const { service, caBundle } = rendered.find('APIService', apiName).spec as {
      readonly service: { readonly name: string; readonly namespace: string };
      readonly caBundle: string;
    };
    const certificate = new X509Certificate(decoded('tls.crt'));
    t.truthy(certificate.checkHost(`${service.name}.${service.namespace}.svc`));
    const authority = new X509Certificate(Buffer.from(caBundle, 'base64').toString());
    t.true(certificate.verify(authority.publicKey));
    t.is(data['ca.crt'], caBundle);
    t.truthy(rendered.find('Service', service.name));
    const [selection] = rendered.pod('Deployment', 'holdfast-selection').spec.containers;
    const names = selection.env?.find(({ name }) => name === 'HOLDFAST_EXTERNAL_METRICS_CLIENT_NAMES');
    t.is(names?.value, 'front-proxy-client');
  },
);

testWith(renderTools, 'an upgrade keeps that certificate', async (t) => {
  const data = { 'ca.crt': 'b25l', 'tls.crt': 'dHdv', 'tls.key': 'dGhyZWU=' };
  const secret: LiveObject = { kind: 'Secret', metadata: { name: secretName }, data };
  const cluster = await kubernetesApi(t, published, secret, api('holdfast'));
  const rendered = await render('defaults', enabled, cluster);
  t.deepEqual(rendered.find('Secret', secretName).data, data);
  t.is(rendered.find('APIService', apiName).spec?.['caBundle'], data['ca.crt']);
});

testWith(renderTools, 'who may ask is read from the cluster', async (t) => {
  const rendered = await render('defaults', enabled, await kubernetesApi(t, published));
  t.is(
    rendered.find('ConfigMap', `${secretName}-client`).data?.['ca.crt'],
    published.data?.['requestheader-client-ca-file'],
  );
  const [selection] = rendered.pod('Deployment', 'holdfast-selection').spec.containers;
  const names = selection.env?.find(({ name }) => name === 'HOLDFAST_EXTERNAL_METRICS_CLIENT_NAMES');
  t.is(names?.value, 'front-proxy-client,other');
});

testWith(renderTools, 'the API of a cluster is not taken from whoever has it', async (t) => {
  for (const [owner, told] of [
    [api('other'), /metricsApi\.enabled: .* of the release sip\/other: set it to false/],
    [{ ...api(''), metadata: { name: apiName } }, /metricsApi\.enabled: .* of no release: set it to false/],
  ] as const) {
    await t.throwsAsync(async () => render('defaults', enabled, await kubernetesApi(t, published, owner)), {
      message: told,
    });
  }
});

testWith(renderTools, 'cert-manager issues the certificate where it issues others', async (t) => {
  const rendered = await render('everything');
  const names = rendered.find('Certificate', 'calls-external-metrics').spec?.['dnsNames'];
  t.true((names as string[]).includes('calls-external-metrics.sip.svc'));
  const { metadata, spec } = rendered.find('APIService', apiName);
  t.is(metadata.annotations?.['cert-manager.io/inject-ca-from'], 'sip/calls-external-metrics');
  t.false('caBundle' in (spec ?? {}));
  t.false(rendered.names.includes('Secret/calls-external-metrics'));
});

testWith(
  renderTools,
  'an adapter can serve the metric instead: then nothing of the cluster is claimed',
  async (t) => {
    const { names } = await render('defaults', { relay: { autoscaling: { enabled: true } } });
    t.true(names.includes('HorizontalPodAutoscaler/holdfast-relay'));
    t.deepEqual(
      names.filter((name) => /APIService|Secret|external-metrics/.test(name)),
      [],
    );
  },
);
