import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { channelOptions } from '../../services/client/channel.js';
import { repository } from '../support/repository.js';
import { testWith } from '../support/requirement.js';
import { type Rendered, render } from './chart.js';
import { kubernetesApi, type LiveObject } from './kubernetes-api.js';
import { renderTools } from './tools.js';

/** CoreDNS lets a Service's name be remembered for this long. */
const dnsTtlMs = 5000;
/** gRPC resolves a name again after this long at the earliest, unless the client says otherwise. */
const grpcDefaultMs = 30_000;

testWith(renderTools, 'a replica leaves after the shipped clients have heard of its successor', async (t) => {
  const { spec } = (await render()).find('Deployment', 'holdfast-selection');
  const readyMs = Number(spec?.['minReadySeconds']) * 1000;
  const option = 'grpc.dns_min_time_between_resolutions_ms';
  t.true(readyMs >= Number(channelOptions[option] ?? grpcDefaultMs) + dnsTtlMs);
  const python = readFileSync(join(repository, 'test/e2e/examples/kemi/holdfast_client.py'), 'utf8');
  const [, inPython = grpcDefaultMs] = new RegExp(`"${option}", (\\d+)`).exec(python) ?? [];
  t.true(readyMs >= Number(inPython) + dnsTtlMs);

  const slower = await render('defaults', { selection: { minReadySeconds: 65 } });
  t.is(slower.find('Deployment', 'holdfast-selection').spec?.['minReadySeconds'], 65);
});

testWith(
  renderTools,
  'a member of etcd is replaced after the others can resolve the one before',
  async (t) => {
    const { spec } = (await render()).find('StatefulSet', 'holdfast-etcd');
    t.like(spec, { minReadySeconds: 35, podManagementPolicy: 'Parallel' });
    const slower = await render('defaults', { etcd: { bundled: { minReadySeconds: 65 } } });
    t.is(slower.find('StatefulSet', 'holdfast-etcd').spec?.['minReadySeconds'], 65);
  },
);

testWith(
  renderTools,
  'a member that lost its volume is brought back, and no other one restarts',
  async (t) => {
    const before = await render();
    const after = await render('defaults', { etcd: { bundled: { initialClusterState: 'existing' } } });
    const told = (rendered: Rendered) =>
      rendered.find('ConfigMap', 'holdfast-etcd').data?.['initial-cluster-state'];
    t.deepEqual([told(before), told(after)], ['new', 'existing']);
    t.deepEqual(after.find('StatefulSet', 'holdfast-etcd'), before.find('StatefulSet', 'holdfast-etcd'));
    const { env = [], args } = before.pod('StatefulSet', 'holdfast-etcd').spec.containers[0];
    const [variable] = env.filter(({ name }) => name === 'ETCD_INITIAL_CLUSTER_STATE');
    const key = { name: 'holdfast-etcd', key: 'initial-cluster-state' };
    t.deepEqual(variable?.valueFrom?.configMapKeyRef, key);
    t.false(
      args.some((arg) => arg.startsWith('--initial-cluster-state')),
      'an argument would win',
    );
  },
);

testWith(renderTools, 'members of etcd know each other by certificate, and not by address', async (t) => {
  const argsOf = (rendered: Rendered, name: string) =>
    rendered.pod('StatefulSet', name).spec.containers[0].args.filter((arg) => arg.startsWith('--peer-'));
  const rendered = await render('everything');
  const args = argsOf(rendered, 'calls-etcd');
  t.true(args.includes('--peer-client-cert-auth'));
  t.true(args.includes('--peer-skip-client-san-verification'));
  const [allowed = ''] = args.flatMap((arg) => /^--peer-cert-allowed-hostname=(.+)$/.exec(arg)?.[1] ?? []);
  const namesOf = (certificate: string) =>
    rendered.find('Certificate', certificate).spec?.['dnsNames'] as string[];
  const wildcard = allowed.replace(/^[^.]+/, '*');
  t.true(namesOf('calls-etcd-server').includes(wildcard), `a member's certificate is for ${allowed}`);
  t.false(namesOf('calls-etcd-client').some((name) => [allowed, wildcard].includes(name)));
  t.deepEqual(argsOf(await render(), 'holdfast-etcd'), [], 'without TLS there is nothing to verify');
});

/** What scales. */
const scaled = [
  ['Deployment', 'selection', {}],
  ['StatefulSet', 'relay', {}],
  ['Deployment', 'relay', { workload: 'Deployment' }],
] as const;

for (const [kind, component, common] of scaled) {
  const name = `holdfast-${component}`;
  const running = (replicas: number): LiveObject => ({ kind, metadata: { name }, spec: { replicas } });
  const replicas = async (values: object, cluster?: string) => {
    const rendered = await render('defaults', { [component]: { ...common, ...values } }, cluster);
    return rendered.find(kind, name).spec?.['replicas'];
  };
  const on = { autoscaling: { enabled: true, minReplicas: 3, maxReplicas: 9 } };

  testWith(
    renderTools,
    `autoscaling of ${component}, a ${kind}, that is turned on keeps what runs`,
    async (t) => {
      const beside = async (count: number) => replicas(on, await kubernetesApi(t, running(count)));
      t.is(await beside(6), 6, 'as many as run');
      t.is(await beside(1), 3, 'at least the minimum');
    },
  );

  testWith(
    renderTools,
    `where no ${component}, a ${kind}, runs, autoscaling alone sets how many`,
    async (t) => {
      t.is(await replicas(on, await kubernetesApi(t)), undefined, 'the first install');
      t.is(await replicas(on), undefined, 'helm template, as GitOps tools call it');
    },
  );

  testWith(
    renderTools,
    `without autoscaling of ${component}, a ${kind}, the value counts, whatever runs`,
    async (t) => {
      t.is(await replicas({ replicas: 4 }, await kubernetesApi(t, running(6))), 4);
    },
  );
}
