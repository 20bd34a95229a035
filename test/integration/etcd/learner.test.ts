import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { EtcdConnection } from '../../../services/etcd/connection.js';
import { RelayRegistration } from '../../../services/registry/relay-registration.js';
import '../../chart/tools.js';
import { leaderOf, type RealEtcd, startRealEtcdCluster } from '../../support/etcd.js';
import { freeTcpPorts } from '../../support/ports.js';
import { type Scope, startProcess } from '../../support/process.js';
import { findProgram } from '../../support/program.js';
import {
  aRelay,
  ask,
  errorOf,
  eventually,
  openConnection,
  registryDeps,
  startOf,
  startSelector,
} from '../../support/registry.js';
import { testWith } from '../../support/requirement.js';

/** Adds a learner to the cluster, and runs it. @returns its endpoint */
async function addLearner(scope: Scope, program: string, voter: RealEtcd): Promise<string> {
  const [clientPort = 0, peerPort = 0] = await freeTcpPorts(2);
  const peerUrl = `http://127.0.0.1:${peerPort}`;
  const clientUrl = `http://127.0.0.1:${clientPort}`;
  const etcdctl = await startProcess(
    scope,
    findProgram('etcdctl') ?? '',
    ['--endpoints', voter.endpoint, 'member', 'add', 'learner', '--learner', '--peer-urls', peerUrl],
    { env: { ETCDCTL_API: '3' } },
  );
  const { code } = await etcdctl.exited;
  const [, cluster] = /ETCD_INITIAL_CLUSTER="(.*)"/.exec(etcdctl.output) ?? [];
  if (code !== 0 || !cluster) {
    throw new Error(`no learner was added: ${etcdctl.output}`);
  }
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-learner-'));
  scope.teardown(() => rm(directory, { recursive: true, force: true }));
  const learner = await startProcess(scope, program, [
    ...['--name', 'learner', '--data-dir', directory],
    ...['--initial-cluster', cluster, '--initial-cluster-state', 'existing'],
    ...['--listen-client-urls', clientUrl, '--advertise-client-urls', clientUrl],
    ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
  ]);
  const endpoint = `127.0.0.1:${clientPort}`;
  const probe = new EtcdConnection({ endpoints: [endpoint], timeoutMs: 1000 });
  scope.teardown(() => probe.close());
  const says = () => probe.range({ key: Buffer.from('a') }).then(() => 'an answer', String);
  await learner.waitUntil(async () => (await says()).includes('not supported for learner'), 'refusal');
  return endpoint;
}

/** Limit of the time from the loss of the member in use until all is as before. */
const backMs = 3000;

/** Kills the member in use beside a learner, and waits until all goes on. */
async function survivesLoss(t: ExecutionContext, program: string): Promise<void> {
  // A cluster this young would otherwise refuse to add a member.
  const young = ['--strict-reconfig-check=false'];
  const members = await startRealEtcdCluster(t, 3, young, undefined, program);
  const learner = await addLearner(t, program, members[0] as RealEtcd);
  const leader = await leaderOf(t, members);
  // Without an election, what is measured is this side alone.
  const [used, ...others] = members.filter((member) => member !== leader) as [RealEtcd, ...RealEtcd[]];
  const voters = [...others, leader].map(({ endpoint }) => endpoint);
  const endpoints = [used.endpoint, learner, ...voters].join(',');

  const { selector, directory, keys } = await startSelector(t, endpoints, { timeoutMs: 1000 });
  const registration = new RelayRegistration(
    { ...registryDeps(t, endpoints, { keys }), connection: openConnection(t, endpoints, 1000) },
    aRelay(),
    startOf(aRelay()),
  );
  registration.start();
  t.teardown(() => registration.stop());
  const load = { calls: 1, cpu: 0, packetRate: 0, atMs: 0 };
  await eventually(async () => await registration.report(load).catch(() => false), 'report');
  await eventually(async () => (await errorOf(selector.select(ask('before')))) === 'no error', 'binding');

  await used.kill();
  const killedAtMs = performance.now();
  const took = () => Math.round(performance.now() - killedAtMs);
  await Promise.all([
    eventually(
      async () => {
        const answer = Promise.resolve(selector.select(ask(`after-${took()}`)));
        const freshness = await answer.then((each) => each.freshness).catch(() => undefined);
        return freshness === 'fresh' && directory.live;
      },
      'fresh answers',
      backMs,
    ).then(() => t.log(`fresh answers after ${took()} ms`)),
    eventually(async () => await registration.report(load).catch(() => false), 'report', backMs).then(() =>
      t.log(`load report after ${took()} ms`),
    ),
  ]);
  t.true(registration.registered);
}

for (const program of ['etcd', 'etcd-3.6']) {
  testWith.serial(
    [program, 'etcdctl'],
    `${program}: beside a learner the loss of the member in use is survived`,
    (t) => survivesLoss(t, findProgram(program) ?? ''),
  );
}
