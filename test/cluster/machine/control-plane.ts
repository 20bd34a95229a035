import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { adminConfig, bin, chartTools, inside } from '../paths.js';
import { controlPlane, services } from './addresses.js';
import type { Daemons } from './daemons.js';
import type { KubernetesApi } from './kubernetes-api.js';
import {
  accountKeys,
  authority,
  certificate,
  config,
  frontProxyAuthority,
  frontProxyName,
  key,
} from './pki.js';
import { until } from './until.js';

const etcdUrl = 'http://127.0.0.1:2379';
const startMs = 180_000;

/** Starts etcd, the API server, controllers, scheduler and DNS. */
export async function startControlPlane(daemons: Daemons, api: KubernetesApi): Promise<void> {
  daemons.start('etcd', [
    join(chartTools, 'etcd-3.6'),
    `--data-dir=${inside}/etcd`,
    `--listen-client-urls=${etcdUrl}`,
    `--advertise-client-urls=${etcdUrl}`,
    '--listen-peer-urls=http://127.0.0.1:2380',
    // It is gone with the machine anyway.
    '--unsafe-no-fsync',
  ]);
  daemons.start('kube-apiserver', [
    join(bin, 'kube-apiserver'),
    `--etcd-servers=${etcdUrl}`,
    '--secure-port=6443',
    `--advertise-address=${controlPlane}`,
    `--service-cluster-ip-range=${services}`,
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    `--client-ca-file=${authority}`,
    `--tls-cert-file=${certificate('api-server')}`,
    `--tls-private-key-file=${key('api-server')}`,
    `--kubelet-client-certificate=${certificate('admin')}`,
    `--kubelet-client-key=${key('admin')}`,
    '--kubelet-preferred-address-types=InternalIP',
    // Other APIs, to which it hands requests on.
    `--requestheader-client-ca-file=${frontProxyAuthority}`,
    `--requestheader-allowed-names=${frontProxyName}`,
    '--requestheader-username-headers=X-Remote-User',
    '--requestheader-group-headers=X-Remote-Group',
    '--requestheader-extra-headers-prefix=X-Remote-Extra-',
    `--proxy-client-cert-file=${certificate('front-proxy')}`,
    `--proxy-client-key-file=${key('front-proxy')}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${accountKeys.public}`,
    `--service-account-signing-key-file=${accountKeys.private}`,
  ]);
  await until(() => api.isReady(), 'answer of the API server', startMs);
  daemons.start('kube-controller-manager', [
    join(bin, 'kube-controller-manager'),
    `--kubeconfig=${config('controllers')}`,
    '--leader-elect=false',
    `--service-account-private-key-file=${accountKeys.private}`,
    `--root-ca-file=${authority}`,
    '--use-service-account-credentials=true',
    `--flex-volume-plugin-dir=${inside}/plugins`,
  ]);
  daemons.start('kube-scheduler', [
    join(bin, 'kube-scheduler'),
    `--kubeconfig=${config('scheduler')}`,
    '--leader-elect=false',
  ]);
  await startNames(daemons);
}

/** CoreDNS as kubeadm configures it: names of the cluster are not cached by it, and by others for 30 s at most. */
async function startNames(daemons: Daemons): Promise<void> {
  const file = join(inside, 'Corefile');
  await writeFile(
    file,
    `.:53 {
  errors
  health 127.0.0.1:8081
  kubernetes cluster.local in-addr.arpa {
    kubeconfig ${adminConfig}
    pods insecure
    ttl 30
  }
  cache 30 {
    disable success cluster.local
    disable denial cluster.local
  }
  loadbalance
}
`,
  );
  daemons.start('coredns', [join(bin, 'coredns'), '-conf', file]);
}
