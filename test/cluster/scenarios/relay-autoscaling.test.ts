import { once } from 'node:events';
import { connect } from 'node:tls';
import test from 'ava';
import { HoldfastClient, RelayState } from '../../../services/client/index.js';
import { OwnScope } from '../../support/own-scope.js';
import { KubernetesApi, type KubernetesObject } from '../machine/kubernetes-api.js';
import { until } from '../machine/until.js';
import '../stage/end.js';
import { MediaLoad } from '../stage/media-load.js';
import { Release } from '../stage/release.js';

/** Relays come and go with their calls: a HorizontalPodAutoscaler asks the release itself. */

interface Scaled extends KubernetesObject {
  readonly spec: { readonly replicas: number };
}

interface Metric {
  readonly metricLabels: Readonly<Record<string, string>>;
  readonly value: string;
}

const scope = new OwnScope();
const api = '/apis/external.metrics.k8s.io/v1beta1';
/** Five relays have place for 25 calls, and four for 20. */
const wave = { callsAtOnce: 24, newCallMs: 2000, packetMs: 100, packets: 600 };
const values = [
  'selection.ng.enabled=true',
  'relay.capacity=20',
  'relay.autoscaling.enabled=true',
  'relay.autoscaling.targetPercent=25',
  'relay.autoscaling.metricsApi.enabled=true',
  // As in production, but for the times: there they are 300 s and 60 s.
  'relay.autoscaling.behavior.scaleDown.stabilizationWindowSeconds=30',
  'relay.autoscaling.behavior.scaleDown.policies[0].type=Pods',
  'relay.autoscaling.behavior.scaleDown.policies[0].value=1',
  'relay.autoscaling.behavior.scaleDown.policies[0].periodSeconds=15',
];
const deadlineMs = 5 * 60_000;
const afterMs = 30_000;
const kubernetes = new KubernetesApi();
let release: Release;

test.serial.before(async () => {
  release = await Release.prepare(scope, 'autoscaling');
  await release.install(values);
});
test.after.always(async () => {
  await release.uninstall();
  await scope.close();
});

test.serial('the metric is for the release’s own namespace, through the API server', async (t) => {
  await release.kubectl('wait', '--for=condition=ScalingActive', 'hpa/holdfast-relay', '--timeout=3m');
  const itemsIn = (namespace: string) =>
    kubernetes.list<Metric>(`${api}/namespaces/${namespace}/holdfast_relays_in_use`);
  const [item] = await itemsIn(release.namespace);
  t.like(item, { metricLabels: { set: 'default', release: release.name }, value: '0m' });
  t.deepEqual(await itemsIn('default'), []);

  const [pod] = await release.pods('selection');
  const socket = connect({ host: pod?.status.podIP ?? '', port: 7443, rejectUnauthorized: false });
  socket.write(`GET ${api}/namespaces/${release.namespace}/holdfast_relays_in_use HTTP/1.1\r\n\r\n`);
  const heard: Buffer[] = [];
  socket.on('data', (bytes: Buffer) => heard.push(bytes));
  socket.on('error', () => {});
  await once(socket, 'close');
  t.is(Buffer.concat(heard).toString(), '', 'nobody is answered who does not show that it is the API server');
});

test.serial('another release cannot take the API of the cluster', async (t) => {
  const other = await Release.prepare(scope, 'autoscaling-other');
  const error = await t.throwsAsync(other.begin(values));
  t.regex(error?.message ?? '', /relay\.autoscaling\.metricsApi\.enabled.*release autoscaling\/holdfast/);
});

test.serial('one relay, five in a wave of calls, and one again', async (t) => {
  const client = new HoldfastClient(release.target);
  t.teardown(() => client.close());
  const relays = async () => (await client.listRelays()).relays;
  t.is((await relays()).length, 1);

  const beganMs = performance.now();
  const load = await MediaLoad.start(t, release.gateway, wave);
  const came: number[] = [];
  await until(
    async () => {
      const { length } = await relays();
      while (came.length < length) {
        came.push(performance.now() - beganMs);
      }
      return length === 5;
    },
    'five relays',
    deadlineMs,
  );

  load.ebb(3);
  const ebbedMs = performance.now();
  const wanted: number[] = [];
  let waitedFor = 0;
  await until(
    async () => {
      const { spec } = await kubernetes.get<Scaled>(
        `/apis/apps/v1/namespaces/${release.namespace}/statefulsets/holdfast-relay`,
      );
      wanted.push(spec.replicas);
      const now = await relays();
      const draining = now.filter(({ state }) => state === RelayState.DRAINING);
      waitedFor = Math.max(waitedFor, ...draining.map(({ load }) => load?.calls ?? 0));
      return spec.replicas === 1 && now.length === 1;
    },
    'one relay',
    deadlineMs,
  );
  const goneMs = performance.now() - ebbedMs;
  await new Promise((resolve) => setTimeout(resolve, afterMs));
  const report = await load.finish();
  const left = await relays();

  t.log(`${report}`);
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
  t.log(`relays registered after ${came.map(seconds).join(', ')} of the wave (a call each 2 s, up to 24)`);
  t.log(`idle relays gone ${seconds(goneMs)} after it ebbed to 3; one that drained had ${waitedFor} calls`);
  t.log(`${left.length} relay at the end`);
  t.deepEqual([report.failed, report.moved, report.silent, report.lost], [0, 0, 0, 0]);
  t.deepEqual(
    left.map(({ id }) => id),
    ['holdfast-relay-0'],
  );
  t.deepEqual(
    wanted,
    wanted.toSorted((a, b) => b - a),
    'none is called back while others drain',
  );
});

test.serial('a Deployment has the next relay at once, while the one before serves its calls', async (t) => {
  await release.upgrade(['relay.workload=Deployment', 'relay.autoscaling.minReplicas=2']);
  await until(
    async () => (await release.pods('relay')).length === 2,
    'relays of the StatefulSet gone',
    deadlineMs,
  );
  const client = new HoldfastClient(release.target);
  t.teardown(() => client.close());
  const load = await MediaLoad.start(t, release.gateway, { ...wave, callsAtOnce: 8 });
  const relays = async () => (await client.listRelays()).relays;
  const busy = async () => (await relays()).find((each) => (each.load?.calls ?? 0) > 0);
  await until(async () => (await busy()) !== undefined, 'call', deadlineMs);

  const leaving = (await busy())?.id ?? '';
  await release.kubectl('delete', 'pod', leaving, '--wait=false');
  const beganMs = performance.now();
  let left: number | undefined;
  await until(
    async () => {
      const now = await relays();
      left = now.find(({ id }) => id === leaving)?.load?.calls;
      return now.filter(({ state }) => state === RelayState.ACTIVE).length === 2;
    },
    'next relay',
    deadlineMs,
  );
  const nextMs = performance.now() - beganMs;
  const report = await load.finish();
  t.log(`${report}`);
  t.log(`the next relay after ${(nextMs / 1000).toFixed(1)} s, when the one before had ${left} calls`);
  t.true((left ?? 0) > 0, 'it drains still');
  t.deepEqual([report.failed, report.moved, report.silent, report.lost], [0, 0, 0, 0]);
});

test.serial('an uninstall takes the API away', async (t) => {
  const registered = () => release.kubectl('get', 'apiservices', '-o', 'name');
  t.regex(await registered(), /external\.metrics\.k8s\.io/);
  await release.uninstall();
  t.notRegex(await registered(), /external\.metrics\.k8s\.io/, 'discovery of all APIs would fail with it');
});
