import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { images, inside } from '../paths.js';
import { controlPlane, nodesOf } from './addresses.js';
import { startControlPlane } from './control-plane.js';
import { Daemons } from './daemons.js';
import { KubernetesApi, type KubernetesObject } from './kubernetes-api.js';
import { createNetwork } from './network.js';
import { startNode } from './node.js';
import { createObjects } from './objects.js';
import { createCertificates } from './pki.js';
import { PolicyEnforcer } from './policies.js';
import { run } from './run.js';
import { until } from './until.js';
import { provideVolumes } from './volumes.js';

/**
 * Starts the cluster, and is its storage and its network policies. It runs in namespaces of its own (network, mounts, processes),
 * and the cluster ends with it. Prints "ready", or why not. Argument: how many nodes.
 */

interface Node extends KubernetesObject {
  readonly status: { readonly conditions: readonly { readonly type: string; readonly status: string }[] };
}

const readyMs = 180_000;
const pauseMs = 500;
const nodes = nodesOf(Number(process.argv[2]));

const daemons = new Daemons(join(inside, 'logs'), fail);

function fail(reason: unknown): void {
  process.stderr.write(`failed: ${reason instanceof Error ? reason.stack : reason}\n`);
  process.exit(1);
}

async function start(): Promise<KubernetesApi> {
  await Promise.all(
    ['logs', 'pki', 'volumes', 'etcd'].map((each) =>
      mkdir(join(inside, each), { recursive: true, mode: 0o700 }),
    ),
  );
  await createNetwork(nodes);
  // Of these namespaces alone: whoever runs tests in them asks the cluster for names.
  await writeFile('/run/resolv.conf', `nameserver ${controlPlane}\nsearch svc.cluster.local\n`);
  await run('mount', '--bind', '/run/resolv.conf', '/etc/resolv.conf');
  await createCertificates(nodes);
  const api = new KubernetesApi();
  await startControlPlane(daemons, api);
  await createObjects(api);
  const archives = (await readdir(images)).filter((file) => file.endsWith('.tar'));
  const paths = archives.map((file) => join(images, file));
  await Promise.all(nodes.map((node) => startNode(daemons, node, paths)));
  await until(() => allReady(api), 'node that is ready', readyMs);
  return api;
}

async function allReady(api: KubernetesApi): Promise<boolean> {
  const found = await api.list<Node>('/api/v1/nodes');
  const isReady = ({ status }: Node) =>
    status.conditions.some((each) => each.type === 'Ready' && each.status === 'True');
  return found.length === nodes.length && found.every(isReady);
}

/** Does it again and again. What fails once is told, and tried again. */
async function repeat(what: string, task: () => Promise<void>): Promise<never> {
  for (;;) {
    await task().catch((error) => process.stderr.write(`${what}: ${error.message}\n`));
    await delay(pauseMs);
  }
}

start().then((api) => {
  const enforcer = new PolicyEnforcer(api, nodes);
  void repeat('volumes', () => provideVolumes(api));
  void repeat('policies', () => enforcer.enforce());
  process.stdout.write('ready\n');
}, fail);
