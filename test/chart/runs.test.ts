import { readFileSync } from 'node:fs';
import { get } from 'node:https';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { HoldfastClient } from '../../services/client/index.js';
import { Authority } from '../support/certificates.js';
import { startRealEtcd } from '../support/etcd.js';
import { audioSdp, newCall, ProxyClient } from '../support/ng.js';
import { startProcess } from '../support/process.js';
import { findProgram } from '../support/program.js';
import { eventually } from '../support/registry.js';
import { testWith } from '../support/requirement.js';
import { issueSecret, type TlsSecret } from './certificates.js';
import { chart, render } from './chart.js';
import { LocalCluster } from './local-cluster.js';
import type { LocalPod } from './local-pod.js';
import type { RelayDriver } from './manifest.js';
import { etcdTool, renderTools } from './tools.js';

/**
 * Keeps the chart and the program in step: the containers of the manifests are started, probed like by the kubelet, and
 * carry a call. Only addresses and the paths of volumes are replaced.
 */
const together = (pods: readonly LocalPod[]) => Promise.all(pods.map((pod) => pod.start()));
const ready = (pods: readonly LocalPod[]) => Promise.all(pods.map((pod) => pod.ready()));

/** Runs the pod of `helm test`: a Select, then a Lookup. Resolves with the output of the Lookup. */
async function helmTest(cluster: LocalCluster): Promise<string> {
  const pod = cluster.pod('test', cluster.rendered.hook('test'));
  await pod.start();
  return pod.process('lookup').success();
}

/** A process logs variables that it does not know. Those of the tests are not from the chart. */
function understood(t: ExecutionContext, pod: LocalPod): void {
  for (const container of pod.spec.containers) {
    const { output } = pod.process(container.name);
    const names = Object.keys(pod.environment(container));
    t.deepEqual(
      names.filter((name) => output.includes(`"variable":"${name}"`)),
      [],
    );
  }
}

async function metricsOf(pod: LocalPod, port: number): Promise<string> {
  return (await fetch(`http://${pod.address}:${port}/metrics`)).text();
}

/** Whether a member of etcd serves its peers' port to the holder of a certificate. */
function admitsPeer(member: LocalPod, secret: TlsSecret): Promise<boolean> {
  return new Promise((resolve) => {
    const { 'ca.crt': ca, 'tls.crt': cert, 'tls.key': key } = secret;
    const options = { ca, cert, key, agent: false };
    get(`https://${member.address}:2380/members`, options, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    }).on('error', () => resolve(false));
  });
}

testWith(
  [...renderTools, etcdTool],
  'defaults: the pods start, become ready, carry a call and stop',
  async (t) => {
    const cluster = await LocalCluster.create(t, await render());
    const etcd = cluster.pods('StatefulSet', 'holdfast-etcd');
    const selection = cluster.pods('Deployment', 'holdfast-selection');
    const relays = cluster.pods('StatefulSet', 'holdfast-relay');

    // Kubernetes starts pods in any order: without etcd they are alive but not ready.
    await together([...selection, ...relays]);
    for (const pod of [...selection, ...relays]) {
      const [container] = pod.spec.containers;
      const { livenessProbe, readinessProbe } = container;
      t.true(livenessProbe && (await pod.ask(container, livenessProbe)), `${pod.name} is alive`);
      t.false(readinessProbe && (await pod.ask(container, readinessProbe)), `${pod.name} is not ready`);
    }
    await together(etcd);
    await ready([...etcd, ...selection, ...relays]);

    t.regex(await helmTest(cluster), /relay\s+holdfast-relay-[01]\n/);

    for (const pod of [...selection, ...relays]) {
      understood(t, pod);
    }
    const [replica, other] = selection as [LocalPod, LocalPod];
    const metrics = [
      await metricsOf(replica, 7480),
      await metricsOf(relays[0] as LocalPod, 7490),
      await metricsOf(etcd[0] as LocalPod, 2381),
    ].join('\n');
    for (const file of ['alerts.yaml', 'dashboard.json']) {
      const text = readFileSync(join(chart, 'files', file), 'utf8');
      const names = new Set([...text.matchAll(/\b(?:holdfast|etcd)_\w+/g)].map(String));
      // Other tests cover the metrics of gateways and certificates.
      names.delete('holdfast_gateway_events_total');
      names.delete('holdfast_certificate_expiry_timestamp_seconds');
      t.true(names.size > 5);
      for (const name of names) {
        t.true(metrics.includes(`\n${name}`), `${file}: ${name}`);
      }
    }

    const leaving = replica.delete();
    t.regex(
      await helmTest(cluster),
      /relay/,
      'a replica that leaves still answers while the others hear of it',
    );
    t.deepEqual(await leaving, { selection: { code: 0, signal: null } });
    const [container] = other.spec.containers;
    t.true(
      container.readinessProbe && (await other.ask(container, container.readinessProbe)),
      'the other stays',
    );
    for (const relay of relays) {
      t.deepEqual(await relay.delete(), { 'relay-node': { code: 0, signal: null } });
    }
  },
);

testWith(
  [...renderTools, etcdTool, 'rtpengine'],
  'host network with rtpengine: a relay that is deleted serves its calls to the end',
  async (t) => {
    const values = { relay: { rtpengine: { extraArgs: ['--delete-delay=0'] } } };
    const cluster = await LocalCluster.create(t, await render('host-network-rtpengine', values));
    const pods = [
      ...cluster.pods('StatefulSet', 'holdfast-etcd'),
      ...cluster.pods('Deployment', 'holdfast-selection'),
      ...cluster.pods('DaemonSet', 'holdfast-relay'),
    ];
    await ready(await together(pods));
    t.regex(await helmTest(cluster), /relay\s+holdfast-relay-x0\n/);
    const relay = pods.at(-1) as LocalPod;
    understood(t, relay);
    const rtpengine = relay.container('rtpengine');
    t.true(rtpengine.livenessProbe && (await relay.ask(rtpengine, rtpengine.livenessProbe)));

    const proxy = new ProxyClient(relay.address, 2223);
    t.teardown(() => proxy.stop());
    await proxy.start();
    const call = newCall();
    const offered = await proxy.offer(call, audioSdp({ address: relay.address, port: 5004 }));
    t.is(offered['result'], 'ok');

    const deleted = relay.delete();
    const node = relay.process('relay-node');
    await node.waitForLine('"msg":"draining"');
    const { containers } = relay.spec;
    const { readinessProbe } = containers[0];
    t.false(readinessProbe && (await relay.ask(containers[0], readinessProbe)), 'it takes no new calls');
    t.is((await proxy.ping())['result'], 'pong', 'and its calls go on');
    t.true(node.running);

    await proxy.delete(call);
    t.deepEqual(await deleted, {
      'relay-node': { code: 0, signal: null },
      rtpengine: { code: 0, signal: null },
    });
  },
);

testWith(
  [...renderTools, etcdTool],
  'strict mode: without etcd a replica is alive but not ready',
  async (t) => {
    const rendered = await render('defaults', {
      selection: { withoutQuorum: 'strict', replicas: 1 },
      etcd: { bundled: { replicas: 1 } },
      relay: { enabled: false },
      tests: { enabled: false },
    });
    const cluster = await LocalCluster.create(t, rendered);
    const [etcd, selection] = [
      ...cluster.pods('StatefulSet', 'holdfast-etcd'),
      ...cluster.pods('Deployment', 'holdfast-selection'),
    ] as [LocalPod, LocalPod];
    await ready(await together([etcd, selection]));
    const { livenessProbe, readinessProbe } = selection.spec.containers[0];
    if (!livenessProbe || !readinessProbe) {
      return t.fail('it has no probes');
    }
    await etcd.delete();
    const ask = (probe: RelayDriver) => selection.ask(selection.spec.containers[0], probe);
    const client = new HoldfastClient(`${selection.address}:7400`);
    t.teardown(() => client.close());
    await eventually(async () => {
      // It notices with a request to etcd.
      await client.lookup({ callId: 'nobody' }).catch(() => undefined);
      return !(await ask(readinessProbe));
    }, 'end of readiness');
    t.true(await ask(livenessProbe));
  },
);

testWith(
  [...renderTools, 'etcd', 'etcdctl'],
  'an etcd with users: the roles in the chart’s README are sufficient for its pods',
  async (t) => {
    const etcd = await startRealEtcd(t, ['--bcrypt-cost', '4']);
    const password = 'a-secret-of-tests';
    const readme = readFileSync(join(chart, 'README.md'), 'utf8');
    const commands = [...readme.matchAll(/^ {4}etcdctl ((?:role|user|auth) .*)$/gm)];
    t.true(commands.length > 10);
    const ofRelays = commands.filter(([text]) => text.includes('holdfast-relay '));
    t.false(
      ofRelays.some(([text]) => text.includes('/calls/')),
      'relay nodes write no bindings',
    );
    for (const [, text = ''] of commands) {
      const args = ['--endpoints', etcd.endpoint, ...text.replaceAll('PASSWORD', password).split(' ')];
      const env = { ETCDCTL_API: '3' };
      await (await startProcess(t, findProgram('etcdctl') ?? '', args, { env })).success();
    }
    const rendered = await render('defaults', {
      etcd: {
        bundled: { enabled: false },
        endpoints: [etcd.endpoint],
        auth: { selectionSecret: 'etcd-selection', relaySecret: 'etcd-relay' },
      },
    });
    const cluster = await LocalCluster.create(t, rendered);
    for (const username of ['selection', 'relay']) {
      cluster.secrets.set(`etcd-${username}`, { username, password });
    }
    const selection = cluster.pods('Deployment', 'holdfast-selection');
    const relays = cluster.pods('StatefulSet', 'holdfast-relay');
    await ready(await together([...selection, ...relays]));
    t.regex(await helmTest(cluster), /relay\s+holdfast-relay-[01]\n/);
    for (const pod of [...selection, ...relays]) {
      t.notRegex(pod.process(pod.spec.containers[0].name).output, /permi/);
    }
  },
);

testWith([...renderTools, etcdTool], 'the ng gateway listens on the port of its Service', async (t) => {
  const ng = { enabled: true, allow: ['127.0.0.0/8'] };
  const rendered = await render('defaults', {
    selection: { ng, replicas: 1 },
    etcd: { bundled: { replicas: 1 } },
    relay: { replicas: 1 },
  });
  const cluster = await LocalCluster.create(t, rendered);
  const [etcd, selection, relay] = [
    ...cluster.pods('StatefulSet', 'holdfast-etcd'),
    ...cluster.pods('Deployment', 'holdfast-selection'),
    ...cluster.pods('StatefulSet', 'holdfast-relay'),
  ] as [LocalPod, LocalPod, LocalPod];
  await ready(await together([etcd, selection, relay]));
  const port = 2223;
  t.like(rendered.find('Service', 'holdfast-ng').spec, {
    ports: [{ port, targetPort: 'ng', protocol: 'UDP' }],
  });
  const proxy = new ProxyClient(selection.address, port);
  t.teardown(() => proxy.stop());
  await proxy.start();
  t.is((await proxy.ping())['result'], 'pong');
  const offer = () => proxy.offer(newCall(), audioSdp({ address: relay.address, port: 5004 }));
  await eventually(async () => (await offer())['result'] === 'ok', 'call through the gateway');
  t.regex(await metricsOf(selection, 7480), /\nholdfast_gateway_events_total\{/);
});

testWith(
  [...renderTools, etcdTool, 'openssl'],
  'mutual TLS end to end, with certificates from Secrets',
  async (t) => {
    const cluster = await LocalCluster.create(t, await render('tls'));
    const etcd = cluster.pods('StatefulSet', 'holdfast-etcd');
    const selection = cluster.pods('Deployment', 'holdfast-selection');
    const relays = cluster.pods('StatefulSet', 'holdfast-relay');
    const authority = await Authority.create(t);
    const addressesOf = (pods: readonly LocalPod[]) => pods.map(({ address }) => address);
    const issue = async (secret: string, names: readonly string[], addresses: readonly string[] = []) =>
      cluster.secrets.set(secret, await issueSecret(authority, names, addresses));
    // Names are replaced by addresses. Connections come from 127.0.0.1, which no certificate has, as from a pod that DNS does
    // not know yet.
    await issue('etcd-server', ['etcd'], addressesOf(etcd));
    await issue('etcd-client', ['holdfast']);
    await issue('grpc', ['holdfast'], addressesOf(selection));
    await issue('grpc-client', ['test.example.org']);

    await ready(await together(etcd));
    const [member] = etcd as [LocalPod, ...LocalPod[]];
    t.true(await admitsPeer(member, cluster.secret('etcd-server') as TlsSecret), 'from any address');
    t.false(await admitsPeer(member, cluster.secret('etcd-client') as TlsSecret), 'a client is no member');
    await ready(await together([...selection, ...relays]));
    for (const pod of [...selection, ...relays]) {
      understood(t, pod);
    }
    t.regex(await helmTest(cluster), /relay\s+holdfast-relay-[01]\n/);
    const metrics = await metricsOf(selection[0] as LocalPod, 7480);
    for (const purpose of ['grpc', 'etcd']) {
      t.regex(metrics, new RegExp(`\nholdfast_certificate_expiry_timestamp_seconds{purpose="${purpose}"}`));
    }

    await issue('grpc-client', ['stranger.example.org']);
    await t.throwsAsync(helmTest(cluster), { message: /PERMISSION_DENIED/ }, 'its name may not select');
  },
);
