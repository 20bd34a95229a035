import test, { type ExecutionContext } from 'ava';
import { HoldfastClient } from '../../../services/client/index.js';
import { OwnScope } from '../../support/own-scope.js';
import { KubernetesApi, type KubernetesObject } from '../machine/kubernetes-api.js';
import { run } from '../machine/run.js';
import { until } from '../machine/until.js';
import { kubectl } from '../stage/cluster-tools.js';
import { MediaLoad } from '../stage/media-load.js';
import '../stage/end.js';
import { Release } from '../stage/release.js';
import { SelectLoad } from '../stage/select-load.js';

/** Nodes that are drained, and one that dies. The cluster needs three. */

const scope = new OwnScope();
/** A relay's lease is 5 s long, and begins again if the node had etcd's leader. */
const knownMs = 15_000;
/** How long calls go on after a change, so that each of them has asked again. */
const settledMs = 15_000;
let release: Release;

test.serial.before(async (t) => {
  const nodes = await new KubernetesApi().list<KubernetesObject>('/api/v1/nodes');
  t.is(nodes.length, 3, 'npm run cluster -- up --nodes 3');
  release = await Release.prepare(scope, 'nodes');
  await release.install([
    'selection.ng.enabled=true',
    'selection.replicas=3',
    'relay.replicas=3',
    'topologySpread=DoNotSchedule',
  ]);
});
test.after.always(async () => {
  await release.uninstall();
  await scope.close();
});

test.serial('a node is drained', async (t) => {
  const select = await SelectLoad.start(t, release.target);
  const media = await MediaLoad.start(t, release.gateway);
  await kubectl(t, 'drain', 'node-2', '--ignore-daemonsets', '--delete-emptydir-data', '--timeout=5m');
  await kubectl(t, 'uncordon', 'node-2');
  await release.rolledOut();
  const [selected, heard] = [await select.finish(), await media.finish()];
  t.log(`${selected}`);
  t.log(`${heard}`);
  t.is(selected.failed, 0);
  t.deepEqual([heard.failed, heard.moved, heard.silent, heard.lost], [0, 0, 0, 0]);
});

test.serial('a node dies', async (t) => {
  const relay = await relayOn(t, 'node-3');
  const load = await SelectLoad.start(t, release.target);
  const client = new HoldfastClient(release.target);
  t.teardown(() => client.close());
  await sleep(settledMs);
  await cut('node-3');
  t.teardown(() => mend('node-3'));
  const beganMs = performance.now();
  const isGone = async () => (await client.listRelays()).relays.every(({ id }) => id !== relay);
  await until(isGone, `end of ${relay}`, 60_000);
  const tookMs = performance.now() - beganMs;
  await sleep(settledMs);
  const report = await load.finish();
  t.log(`known after ${(tookMs / 1000).toFixed(1)} s`);
  t.log(`${report}`);
  t.is(report.failed, 0);
  t.deepEqual(report.left, [relay], 'only its own calls move');
  t.true(tookMs < knownMs);
  await mend('node-3');
  await release.rolledOut();
});

async function relayOn(t: ExecutionContext, node: string): Promise<string> {
  const pods = await release.pods('relay');
  const found = pods.find(({ spec }) => spec.nodeName === node);
  t.truthy(found, `a relay on ${node}`);
  return found?.metadata.name ?? '';
}

/** Nothing reaches it any more, and nothing comes from it. */
const cut = (node: string) => run('ip', 'link', 'set', node, 'down');

const mend = async (node: string) => {
  await run('ip', 'link', 'set', node, 'up');
};

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
