/** The parts of Kubernetes objects that the tests read. The checker has validated the objects. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Metadata;
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly data?: Readonly<Record<string, string>>;
}

export interface Metadata {
  readonly name: string;
  /** None of what belongs to the cluster. */
  readonly namespace?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface PodTemplate {
  readonly metadata: Pick<Metadata, 'labels' | 'annotations'> & Partial<Metadata>;
  readonly spec: PodSpec;
}

export interface PodSpec {
  /** Without it, the account `default` of the namespace. */
  readonly serviceAccountName?: string;
  readonly automountServiceAccountToken: boolean;
  readonly enableServiceLinks: boolean;
  readonly hostNetwork?: boolean;
  readonly dnsPolicy?: string;
  readonly terminationGracePeriodSeconds: number;
  readonly restartPolicy?: string;
  readonly activeDeadlineSeconds?: number;
  readonly initContainers?: readonly Container[];
  readonly containers: readonly [Container, ...Container[]];
  readonly volumes?: readonly Volume[];
  readonly topologySpreadConstraints: readonly { topologyKey: string; whenUnsatisfiable: string }[];
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args: readonly string[];
  readonly env?: readonly EnvVar[];
  readonly ports?: readonly { name: string; containerPort: number; protocol?: 'UDP' }[];
  readonly restartPolicy?: 'Always';
  readonly startupProbe?: RelayDriver;
  readonly livenessProbe?: RelayDriver;
  readonly readinessProbe?: RelayDriver;
  readonly lifecycle?: { readonly preStop: { readonly sleep: { readonly seconds: number } } };
  readonly resources?: { readonly requests?: Readonly<Record<'cpu' | 'memory', string>> };
  readonly securityContext: { readonly readOnlyRootFilesystem: boolean };
  readonly volumeMounts?: readonly { name: string; mountPath: string; subPath?: string }[];
}

export interface EnvVar {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: {
    readonly fieldRef?: { readonly fieldPath: string };
    readonly configMapKeyRef?: { readonly name: string; readonly key: string };
    readonly secretKeyRef?: { readonly name: string; readonly key: string };
  };
}

export interface RelayDriver {
  readonly httpGet?: { readonly path: string; readonly port: string };
  readonly tcpSocket?: { readonly port: string };
  readonly periodSeconds: number;
  readonly timeoutSeconds?: number;
  readonly failureThreshold: number;
}

export interface Volume {
  readonly name: string;
  readonly secret?: {
    readonly secretName: string;
    readonly items?: readonly { key: string; path: string }[];
  };
  readonly emptyDir?: object;
}

/** The pod template of an object, or the pod itself; undefined if it has none. */
export function podTemplate({ kind, metadata, spec }: Manifest): PodTemplate | undefined {
  if (kind === 'Pod') {
    return { metadata, spec: spec as unknown as PodSpec };
  }
  return spec?.['template'] as PodTemplate | undefined;
}

export function containersOf({ spec }: PodTemplate): readonly Container[] {
  return [...(spec.initContainers ?? []), ...spec.containers];
}
