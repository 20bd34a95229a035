import { join } from 'node:path';
import type { Scope } from '../../support/process.js';
import { repository } from '../../support/repository.js';
import { KubernetesApi, type KubernetesObject } from '../machine/kubernetes-api.js';
import { apply, helm, kubectl } from './cluster-tools.js';

const chart = join(repository, 'helm/holdfast');

/** Values by path, such as `relay.replicas=3`. */
export type Values = readonly string[];

export interface RunningPod extends KubernetesObject {
  readonly spec: { readonly nodeName?: string };
  readonly status: {
    readonly phase: string;
    readonly podIP?: string;
    readonly hostIP?: string;
  };
}

/** What a namespace admits: a Pod Security Standard. */
type Admits = 'restricted' | 'privileged';

/** A release of the chart. */
export class Release {
  readonly #api = new KubernetesApi();
  /** Values that stay over upgrades. */
  #values: Values = [];
  #before: Values = [];

  private constructor(
    private readonly scope: Scope,
    readonly namespace: string,
    readonly name: string,
  ) {}

  /** Makes its namespace, unless it is there. @param name contains the chart's, so that objects are named after it alone */
  static async prepare(
    scope: Scope,
    namespace: string,
    { name = 'holdfast', admits = 'restricted' }: { name?: string; admits?: Admits } = {},
  ): Promise<Release> {
    const labels = { 'pod-security.kubernetes.io/enforce': admits };
    await apply(scope, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels } });
    return new Release(scope, namespace, name);
  }

  /** The gRPC target of its clients. */
  get target(): string {
    return `dns:///${this.name}.${this.namespace}.svc.cluster.local:7400`;
  }

  /** Where a SIP proxy finds it as an rtpengine. */
  get gateway(): string {
    return `${this.name}-ng.${this.namespace}.svc.cluster.local`;
  }

  /** @returns how long it took until all pods were ready, ms */
  async install(values: Values = []): Promise<number> {
    const beganMs = performance.now();
    await this.begin(values, ['--wait', '--timeout=5m']);
    return performance.now() - beganMs;
  }

  /** Installs it without waiting for anything. @returns the notes */
  begin(values: Values, args: readonly string[] = []): Promise<string> {
    this.#values = values;
    return this.#helm('install', this.name, chart, ...set(values), ...args);
  }

  /** Changes values, and waits until everything has been replaced. */
  async upgrade(values: Values): Promise<void> {
    this.#before = this.#values;
    this.#values = [...this.#values, ...values];
    await this.#helm('upgrade', this.name, chart, ...set(this.#values));
    await this.rolledOut();
  }

  /** Undoes the last upgrade. */
  async rollback(): Promise<void> {
    this.#values = this.#before;
    await this.#helm('rollback', this.name);
    await this.rolledOut();
  }

  async rolledOut(): Promise<void> {
    const selector = ['-l', `app.kubernetes.io/instance=${this.name}`];
    const workloads = await this.kubectl(
      'get',
      'statefulsets,daemonsets,deployments',
      ...selector,
      '-o',
      'name',
    );
    for (const named of workloads.trim().split('\n')) {
      await kubectl(this.scope, '-n', this.namespace, 'rollout', 'status', named, '--timeout=9m');
    }
  }

  /** @returns what the pod of the test printed */
  test(): Promise<string> {
    return this.#helm('test', this.name, '--logs');
  }

  /** Unless that has been done. Helm waits for what it removes, and not for the pods of that. */
  async uninstall(): Promise<void> {
    await this.#helm('uninstall', this.name, '--wait', '--ignore-not-found');
    const selector = ['-l', `app.kubernetes.io/instance=${this.name}`];
    await this.kubectl('wait', '--for=delete', 'pods', ...selector, '--timeout=5m');
  }

  /** Takes a pod away at once, as if its node had, and waits until the next one of that name is ready. */
  async lose(pod: string): Promise<void> {
    await this.kubectl('delete', 'pod', pod, '--grace-period=0', '--force');
    await this.kubectl('wait', '--for=create', `pod/${pod}`, '--timeout=1m');
    await this.kubectl('wait', '--for=condition=Ready', `pod/${pod}`, '--timeout=5m');
  }

  /** Its pods of one component: selection, relay, etcd. */
  async pods(component: string): Promise<RunningPod[]> {
    const found = await this.#api.list<RunningPod>(`/api/v1/namespaces/${this.namespace}/pods`);
    return found.filter(({ metadata: { labels = {} } }) => {
      return (
        labels['app.kubernetes.io/instance'] === this.name &&
        labels['app.kubernetes.io/component'] === component
      );
    });
  }

  /** Kind and name of every object in its namespace that is not Kubernetes' own, sorted. */
  async objects(): Promise<string[]> {
    const kinds =
      'pods,services,deployments,statefulsets,daemonsets,jobs,configmaps,secrets,serviceaccounts,persistentvolumeclaims,' +
      'networkpolicies,poddisruptionbudgets,horizontalpodautoscalers,endpointslices,controllerrevisions,replicasets';
    const found = await this.kubectl('get', kinds, '-o', 'name');
    const own = ['configmap/kube-root-ca.crt', 'serviceaccount/default'];
    return found
      .trim()
      .split('\n')
      .filter((name) => name !== '' && !own.includes(name))
      .sort();
  }

  kubectl(...args: readonly string[]): Promise<string> {
    return kubectl(this.scope, '-n', this.namespace, ...args);
  }

  #helm(...args: readonly string[]): Promise<string> {
    return helm(this.scope, '-n', this.namespace, ...args);
  }
}

const set = (values: Values) => values.flatMap((value) => ['--set', value]);
