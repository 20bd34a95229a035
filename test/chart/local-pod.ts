import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { type Exit, startProcess, type TestProcess } from '../support/process.js';
import { findProgram } from '../support/program.js';
import { repository } from '../support/repository.js';
import { entrypoint } from './dockerfile.js';
import type { LocalCluster } from './local-cluster.js';
import type { Container, EnvVar, PodTemplate, RelayDriver } from './manifest.js';
import { etcdTool } from './tools.js';

/** Programs that have another name in their image than on this machine. */
const programs: Readonly<Record<string, string>> = { etcd: etcdTool };

/** A pod of local processes, managed like by the kubelet. */
export class LocalPod {
  readonly #cluster: LocalCluster;
  readonly #template: PodTemplate;
  readonly #processes = new Map<string, TestProcess>();
  #volumes = new Map<string, string>();

  constructor(
    cluster: LocalCluster,
    readonly name: string,
    readonly address: string,
    template: PodTemplate,
  ) {
    this.#cluster = cluster;
    this.#template = template;
  }

  get spec(): PodTemplate['spec'] {
    return this.#template.spec;
  }

  /** The process of a container. @throws Error if it has not started */
  process(container: string): TestProcess {
    const found = this.#processes.get(container);
    if (!found) {
      throw new Error(`${this.name} does not run ${container}`);
    }
    return found;
  }

  container(name: string): Container {
    const all = [...(this.spec.initContainers ?? []), ...this.spec.containers];
    const found = all.find((container) => container.name === name);
    if (!found) {
      throw new Error(`${this.name} has no container ${name}`);
    }
    return found;
  }

  /** Starts it in the kubelet's order: init containers one by one, sidecars until they have started, then containers. */
  async start(): Promise<this> {
    for (const volume of this.#volumesOf()) {
      this.#volumes.set(volume.name, await this.#cluster.volume(this.name, volume));
    }
    for (const container of this.spec.initContainers ?? []) {
      const process = await this.#run(container);
      if (container.restartPolicy === 'Always') {
        await this.#started(container, process);
      } else {
        await process.success();
      }
    }
    await Promise.all(
      this.spec.containers.map(async (container) => this.#started(container, await this.#run(container))),
    );
    return this;
  }

  /** Resolves when every container's readiness probe succeeds. */
  async ready(): Promise<this> {
    for (const container of this.spec.containers) {
      const { readinessProbe } = container;
      if (!readinessProbe) {
        continue;
      }
      await this.process(container.name).waitUntil(() => this.ask(container, readinessProbe), 'readiness');
    }
    return this;
  }

  /** The result of a probe. */
  async ask(container: Container, { httpGet, tcpSocket, timeoutSeconds = 1 }: RelayDriver): Promise<boolean> {
    const name = httpGet?.port ?? tcpSocket?.port;
    const port = container.ports?.find((each) => each.name === name)?.containerPort;
    if (port === undefined) {
      throw new Error(`${container.name} has no port ${name}`);
    }
    const timeoutMs = timeoutSeconds * 1000;
    if (!httpGet) {
      return connects(this.address, port, timeoutMs);
    }
    const signal = AbortSignal.timeout(timeoutMs);
    const { status } = await fetch(`http://${this.address}:${port}${httpGet.path}`, { signal });
    return status >= 200 && status < 400;
  }

  /** Deletes the pod: preStop, SIGTERM to the containers, and when they have ended to the sidecars. */
  async delete(): Promise<Record<string, Exit>> {
    const exits: Record<string, Exit> = {};
    const timer = setTimeout(() => {
      for (const process of this.#processes.values()) {
        process.signal('SIGKILL');
      }
    }, this.spec.terminationGracePeriodSeconds * 1000);
    const end = async ({ name, lifecycle }: Container) => {
      if (lifecycle) {
        await delay(lifecycle.preStop.sleep.seconds * 1000);
      }
      const process = this.process(name);
      process.signal('SIGTERM');
      exits[name] = await process.exited;
    };
    await Promise.all(this.spec.containers.map(end));
    const sidecars = (this.spec.initContainers ?? []).filter(
      ({ restartPolicy }) => restartPolicy === 'Always',
    );
    for (const sidecar of sidecars.reverse()) {
      await end(sidecar);
    }
    clearTimeout(timer);
    return exits;
  }

  /** The container's environment, with addresses and paths replaced. */
  environment({ env = [] }: Container): Record<string, string> {
    const values: Record<string, string> = {};
    for (const variable of env) {
      values[variable.name] = this.#valueOf(variable, values);
    }
    return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, this.#localise(value)]));
  }

  #volumesOf() {
    const claims = this.spec.containers.flatMap(({ volumeMounts = [] }) => volumeMounts);
    const volumes = this.spec.volumes ?? [];
    const claimed = claims.filter(({ name }) => !volumes.some((volume) => volume.name === name));
    return [...volumes, ...claimed.map(({ name }) => ({ name }))];
  }

  async #run(container: Container): Promise<TestProcess> {
    const env = this.environment(container);
    const [command = '', ...first] = container.command ?? imageCommand();
    const program = findProgram(programs[command] ?? command);
    if (!program) {
      throw new Error(`${command} is not installed`);
    }
    const args = container.args.map((arg) => this.#mounted(container, this.#localise(expand(arg, env))));
    const mounted = Object.entries(env).map(([name, value]) => [name, this.#mounted(container, value)]);
    const process = await startProcess(this.#cluster.scope, program, [...first, ...args], {
      env: Object.fromEntries(mounted),
    });
    this.#processes.set(container.name, process);
    return process;
  }

  async #started(container: Container, process: TestProcess): Promise<void> {
    const { startupProbe } = container;
    if (!startupProbe) {
      return;
    }
    const limitMs = startupProbe.periodSeconds * startupProbe.failureThreshold * 1000;
    await process.waitUntil(() => this.ask(container, startupProbe), 'startup', limitMs);
  }

  #valueOf({ name, value, valueFrom }: EnvVar, before: Readonly<Record<string, string>>): string {
    if (value !== undefined) {
      return expand(value, before);
    }
    const secret = valueFrom?.secretKeyRef;
    if (secret) {
      return this.#cluster.secret(secret.name)[secret.key] ?? '';
    }
    const config = valueFrom?.configMapKeyRef;
    if (config) {
      return this.#cluster.rendered.find('ConfigMap', config.name).data?.[config.key] ?? '';
    }
    const path = valueFrom?.fieldRef?.fieldPath ?? '';
    const label = /^metadata\.labels\['(.*)'\]$/.exec(path)?.[1];
    if (label !== undefined) {
      return this.#template.metadata.labels[label] ?? '';
    }
    if (path === 'metadata.name') {
      return this.name;
    }
    if (path === 'status.podIP') {
      return this.address;
    }
    throw new Error(`${name}: no volume contains ${path}`);
  }

  #localise(text: string): string {
    return this.#cluster.resolve(text.replaceAll('0.0.0.0', this.address));
  }

  #mounted({ volumeMounts = [] }: Container, text: string): string {
    return volumeMounts.reduce(
      (at, { name, mountPath }) =>
        at.replace(new RegExp(`(^|=)${mountPath}(?=/|$)`), `$1${this.#volumes.get(name)}`),
      text,
    );
  }
}

/** Expands $(NAME) of variables that are already defined. */
function expand(text: string, values: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\((\w+)\)/g, (whole, name: string) => values[name] ?? whole);
}

/** The image's ENTRYPOINT, with its paths in this repository. */
function imageCommand(): string[] {
  return entrypoint().map((word) => word.replace(/^\/app(?=\/)/, repository));
}

function connects(host: string, port: number, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs });
    const done = (success: boolean) => {
      socket.destroy();
      resolve(success);
    };
    socket.once('connect', () => done(true));
    socket.once('error', () => done(false));
    socket.once('timeout', () => done(false));
  });
}
