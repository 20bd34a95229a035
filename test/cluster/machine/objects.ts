import { controlPlane, dnsService } from './addresses.js';
import type { KubernetesApi } from './kubernetes-api.js';

export const storageClass = 'directories';

/** The objects that are there before anybody installs something: the Service of DNS, and the default StorageClass. */
export async function createObjects(api: KubernetesApi): Promise<void> {
  const name = 'kube-dns';
  const ports = ['UDP', 'TCP'].map((protocol) => ({ name: protocol.toLowerCase(), port: 53, protocol }));
  await api.apply(`/api/v1/namespaces/kube-system/services/${name}`, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: { clusterIP: dnsService, ports },
  });
  await api.apply(`/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/${name}`, {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name, labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    ports,
    endpoints: [{ addresses: [controlPlane] }],
  });
  await api.apply(`/apis/storage.k8s.io/v1/storageclasses/${storageClass}`, {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: {
      name: storageClass,
      annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' },
    },
    provisioner: 'holdfast.invalid/directories',
    // The scheduler says first which node a claim's pod goes to.
    volumeBindingMode: 'WaitForFirstConsumer',
    reclaimPolicy: 'Delete',
  });
}
