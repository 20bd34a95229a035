import { randomInt } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Scope } from '../support/process.js';
import { namespace, type Rendered } from './chart.js';
import { LocalPod } from './local-pod.js';
import type { Manifest, PodTemplate } from './manifest.js';

/** Content of a Secret, by key. */
type Secret = Readonly<Record<string, string>>;

/**
 * Runs rendered pods as local processes. Each pod has its own loopback address, so that ports, paths and arguments are used
 * as rendered: only addresses and the paths of volumes are replaced.
 */
export class LocalCluster {
  /** 127.x.y.0/24 of this cluster. */
  readonly #network = `127.${randomInt(1, 255)}.${randomInt(0, 256)}`;
  readonly #directory: string;
  readonly #hosts = new Map<string, string>();
  /** The cluster's Secrets, by name. A pod reads them when it starts. */
  readonly secrets = new Map<string, Secret>();
  #addresses = 0;

  private constructor(
    readonly scope: Scope,
    readonly rendered: Rendered,
    directory: string,
  ) {
    this.#directory = directory;
  }

  static async create(scope: Scope, rendered: Rendered): Promise<LocalCluster> {
    const directory = await mkdtemp(join(tmpdir(), 'holdfast-chart-'));
    scope.teardown(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }));
    return new LocalCluster(scope, rendered, directory);
  }

  /** All pods of a StatefulSet, Deployment or DaemonSet (for one node), not started yet. */
  pods(kind: string, name: string): LocalPod[] {
    const workload = this.rendered.find(kind, name);
    const replicas = kind === 'DaemonSet' ? 1 : Number(workload.spec?.['replicas']);
    const names = Array.from({ length: replicas }, (_, ordinal) =>
      kind === 'StatefulSet' ? `${name}-${ordinal}` : `${name}-x${ordinal}`,
    );
    const template = this.rendered.pod(kind, name);
    return names.map((podName) => {
      const pod = this.pod(podName, template);
      const service = workload.spec?.['serviceName'];
      if (service) {
        this.#hosts.set(`${podName}.${service}.${namespace}.svc`, pod.address);
      }
      return pod;
    });
  }

  pod(name: string, template: PodTemplate): LocalPod {
    this.#addresses++;
    const pod = new LocalPod(this, name, `${this.#network}.${this.#addresses}`, template);
    for (const service of this.#servicesOf(template)) {
      const host = `${service.metadata.name}.${namespace}.svc`;
      // The name of a Service resolves to the first of its pods, which is enough.
      if (!this.#hosts.has(host)) {
        this.#hosts.set(host, pod.address);
      }
    }
    return pod;
  }

  /** Replaces host names by addresses, the longest first, because one can be part of another. */
  resolve(text: string): string {
    const names = [...this.#hosts.keys()].sort((one, other) => other.length - one.length);
    return names.reduce((at, name) => at.replaceAll(name, this.#hosts.get(name) as string), text);
  }

  /** A directory for a volume of a pod, with the files of its Secret, if any. */
  async volume(pod: string, { name, secret }: NonNullable<PodTemplate['spec']['volumes']>[number]) {
    const directory = join(this.#directory, pod, name);
    await mkdir(directory, { recursive: true });
    if (!secret) {
      return directory;
    }
    const content = this.secret(secret.secretName);
    const items = secret.items ?? Object.keys(content).map((key) => ({ key, path: key }));
    for (const { key, path } of items) {
      await mkdir(dirname(join(directory, path)), { recursive: true });
      await writeFile(join(directory, path), content[key] ?? '');
    }
    return directory;
  }

  /** @throws Error if there is no such Secret */
  secret(name: string): Secret {
    const content = this.secrets.get(name);
    if (!content) {
      throw new Error(`there is no Secret ${name}`);
    }
    return content;
  }

  #servicesOf({ metadata }: PodTemplate): Manifest[] {
    return this.rendered.objects.filter(({ kind, spec }) => {
      if (kind !== 'Service') {
        return false;
      }
      const selector = Object.entries((spec?.['selector'] ?? {}) as Record<string, string>);
      return selector.every(([label, value]) => metadata.labels[label] === value);
    });
  }
}
