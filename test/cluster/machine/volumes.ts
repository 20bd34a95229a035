import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { inside } from '../paths.js';
import type { KubernetesApi, KubernetesObject } from './kubernetes-api.js';
import { storageClass } from './objects.js';

interface Claim extends KubernetesObject {
  readonly spec: {
    readonly storageClassName?: string;
    readonly accessModes: readonly string[];
    readonly resources: { readonly requests: Readonly<Record<string, string>> };
  };
  readonly status: { readonly phase: string };
}

interface Volume extends KubernetesObject {
  readonly spec: { readonly storageClassName?: string; readonly local?: { readonly path: string } };
  readonly status: { readonly phase: string };
}

const volumes = '/api/v1/persistentvolumes';
const directories = join(inside, 'volumes');

/** Gives each claim a directory, as a `local` volume of the node that the scheduler chose, so that `fsGroup` counts. */
export async function provideVolumes(api: KubernetesApi): Promise<void> {
  const claims = await api.list<Claim>('/api/v1/persistentvolumeclaims');
  for (const claim of claims) {
    const node = claim.metadata.annotations?.['volume.kubernetes.io/selected-node'];
    const { spec, status } = claim;
    if (status.phase === 'Pending' && spec.storageClassName === storageClass && node !== undefined) {
      await provide(api, claim, node);
    }
  }
  for (const { metadata, spec, status } of await api.list<Volume>(volumes)) {
    if (status.phase === 'Released' && spec.storageClassName === storageClass && spec.local) {
      await rm(spec.local.path, { recursive: true, force: true });
      await api.delete(`${volumes}/${metadata.name}`);
    }
  }
}

async function provide(api: KubernetesApi, { metadata, spec }: Claim, node: string): Promise<void> {
  const name = `pvc-${metadata.uid}`;
  const path = join(directories, name);
  await mkdir(path, { recursive: true });
  const isNode = { key: 'kubernetes.io/hostname', operator: 'In', values: [node] };
  await api.apply(`${volumes}/${name}`, {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: {
      name,
      annotations: { 'pv.kubernetes.io/provisioned-by': 'holdfast.invalid/directories' },
    },
    spec: {
      capacity: spec.resources.requests,
      accessModes: spec.accessModes,
      storageClassName: storageClass,
      persistentVolumeReclaimPolicy: 'Delete',
      local: { path },
      claimRef: {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        namespace: metadata.namespace,
        name: metadata.name,
        uid: metadata.uid,
      },
      nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [isNode] }] } },
    },
  });
}
