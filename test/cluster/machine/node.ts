import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { bin, inside } from '../paths.js';
import { type ClusterNode, dnsService, pods } from './addresses.js';
import { createGroup, groupOf } from './cgroups.js';
import type { Daemons } from './daemons.js';
import { authority, certificate, config, key } from './pki.js';
import { run } from './run.js';
import { until } from './until.js';

const startMs = 120_000;

/** Starts containerd, kubelet and kube-proxy of a node, with the images that there are. */
export async function startNode(
  daemons: Daemons,
  node: ClusterNode,
  archives: readonly string[],
): Promise<void> {
  const at = (file: string) => join(inside, node.name, file);
  await Promise.all(
    ['cni', 'kubelet', 'containerd'].map((directory) => mkdir(at(directory), { recursive: true })),
  );
  await createGroup(node.name);
  const socket = `/run/${node.name}/containerd.sock`;
  await writeFile(at('cni/10-pods.conflist'), JSON.stringify(podNetwork(node)));
  await writeFile(at('containerd.toml'), containerd(node, socket));
  await writeFile(at('resolv.conf'), `nameserver ${dnsService}\n`);
  await writeFile(at('kubelet.json'), JSON.stringify(kubelet(node, socket, at('resolv.conf'))));
  await writeFile(at('proxy.json'), JSON.stringify(proxy(node)));

  const ctr = (...args: readonly string[]) => run('ctr', '--address', socket, '-n', 'k8s.io', ...args);
  daemons.start(`${node.name}-containerd`, ['containerd', '--config', at('containerd.toml')], node.name);
  await until(async () => (await ctr('version')) !== '', `containerd on ${node.name}`, startMs);
  for (const archive of archives) {
    await ctr('images', 'import', '--no-unpack', archive).catch((error) => {
      throw new Error(`${basename(archive)}: ${error.message}`);
    });
  }
  const names = [`--hostname-override=${node.name}`, `--node-ip=${node.address}`];
  const labels = `--node-labels=topology.kubernetes.io/zone=${node.zone}`;
  daemons.start(
    `${node.name}-kubelet`,
    [
      join(bin, 'kubelet'),
      `--config=${at('kubelet.json')}`,
      `--kubeconfig=${config(node.name)}`,
      `--root-dir=${at('kubelet')}`,
      ...names,
      labels,
    ],
    node.name,
  );
  daemons.start(
    `${node.name}-kube-proxy`,
    [join(bin, 'kube-proxy'), `--config=${at('proxy.json')}`],
    node.name,
  );
}

/** A pair of devices for each pod: all that a pod sends passes the node's rules, also to a pod beside it. */
const podNetwork = ({ name, pods: subnet }: ClusterNode) => ({
  cniVersion: '0.4.0',
  name: 'pods',
  plugins: [
    {
      type: 'ptp',
      ipMasq: false,
      ipam: {
        type: 'host-local',
        dataDir: join(inside, name, 'addresses'),
        ranges: [[{ subnet }]],
        routes: [{ dst: '0.0.0.0/0' }],
      },
    },
    { type: 'portmap', capabilities: { portMappings: true } },
  ],
});

const containerd = ({ name }: ClusterNode, socket: string) => `version = 2
root = "${inside}/${name}/containerd"
state = "/run/${name}/containerd"
[grpc]
  address = "${socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "${inside}/${name}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "holdfast.invalid/pause:1"
  # Without CAP_SYS_RESOURCE nobody can be spared by the kernel when memory ends.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${inside}/${name}/cni"
`;

const kubelet = ({ name }: ClusterNode, socket: string, resolvConf: string) => ({
  apiVersion: 'kubelet.config.k8s.io/v1beta1',
  kind: 'KubeletConfiguration',
  authentication: { anonymous: { enabled: false }, x509: { clientCAFile: authority } },
  authorization: { mode: 'Webhook' },
  tlsCertFile: certificate(name),
  tlsPrivateKeyFile: key(name),
  containerRuntimeEndpoint: `unix://${socket}`,
  cgroupDriver: 'cgroupfs',
  cgroupRoot: groupOf(name),
  failCgroupV1: false,
  failSwapOn: false,
  oomScoreAdj: 0,
  clusterDNS: [dnsService],
  clusterDomain: 'cluster.local',
  resolvConf,
  // With one for all, each kubelet removes the logs of the others' pods.
  volumePluginDir: join(inside, name, 'plugins'),
  podLogsDir: join(inside, name, 'pod-logs'),
  // Images come once, from files: none can be had again.
  imageGCHighThresholdPercent: 100,
  imageGCLowThresholdPercent: 99,
  evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '1%', 'imagefs.available': '1%' },
});

const proxy = ({ name }: ClusterNode) => ({
  apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
  kind: 'KubeProxyConfiguration',
  clientConnection: { kubeconfig: config('proxy') },
  hostnameOverride: name,
  clusterCIDR: pods,
  mode: 'iptables',
  // What is the whole machine's, a network namespace may not set.
  conntrack: { maxPerCore: 0, min: 0 },
  oomScoreAdj: 0,
});
