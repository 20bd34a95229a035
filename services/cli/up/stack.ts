import { mkdtempSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HoldfastClient } from '../../client/index.js';
import { messageOf } from '../../domain/error.js';
import { EmbeddedEtcd } from '../../embedded-etcd/embedded-etcd.js';
import { listenError } from '../../runtime/address.js';
import { CommandError, exits } from '../exit.js';
import { Child } from './child.js';

export interface StackOptions {
  /** gRPC port of the first replica, the second has the next; 0 takes free ones. */
  readonly port: number;
  /** Port of the embedded etcd; 0 takes a free one. */
  readonly etcdPort: number;
  /** etcd to use instead of the embedded one. */
  readonly etcd: string | undefined;
}

const host = '127.0.0.1';
const startTimeoutMs = 15_000;

/** etcd, replicas and relays on this machine. Each is its own process, except the embedded etcd. */
export class Stack {
  readonly logDirectory = mkdtempSync(join(tmpdir(), 'holdfast-'));
  readonly #options: StackOptions;
  readonly #children: Child[] = [];
  readonly #ports: number[] = [];
  readonly #httpPorts: number[] = [];
  #embedded: EmbeddedEtcd | undefined;
  #stopped: Promise<void> | undefined;

  constructor(options: StackOptions) {
    this.#options = options;
  }

  /** etcd's endpoint, as HOST:PORT. */
  etcd = '';

  /** True once there can be logs in the log directory. */
  get hasLogs(): boolean {
    return this.#children.length > 0;
  }

  get isEmbedded(): boolean {
    return this.#embedded !== undefined;
  }

  /**
   * Checks that the replicas' ports are free before anything is started. Otherwise another program that answers at such a
   * port would be mistaken for the replica that cannot listen there. @throws CommandError
   */
  async choosePorts(): Promise<void> {
    const { port } = this.#options;
    for (const wanted of port === 0 ? [0, 0] : [port, port + 1]) {
      this.#ports.push(
        await freePort(wanted).catch((error) => {
          const reason = listenError('a replica', { host, port: wanted }, error).message;
          throw new CommandError(`${reason} (--port; 0 takes free ones)`);
        }),
      );
      this.#httpPorts.push(await freePort(0));
    }
  }

  /** Where a browser finds the page of the first replica. */
  get page(): string {
    return `http://${host}:${this.#httpPorts[0]}/`;
  }

  async startEtcd(): Promise<void> {
    if (this.#options.etcd !== undefined) {
      this.etcd = this.#options.etcd;
      return;
    }
    this.#embedded = new EmbeddedEtcd({ host, port: this.#options.etcdPort });
    await this.#embedded.start().catch((error) => {
      throw new CommandError(`${messageOf(error)} (--etcd-port; 0 takes a free one)`);
    });
    this.etcd = this.#embedded.endpoint;
  }

  /** Starts a replica and waits until it is ready. */
  async startReplica(index: number): Promise<{ client: HoldfastClient; child: Child }> {
    const address = `${host}:${this.#ports[index]}`;
    const child = this.#start(`selection-${index + 1}`, 'selection', {
      HOLDFAST_GRPC_LISTEN: address,
      HOLDFAST_HTTP_LISTEN: `${host}:${this.#httpPorts[index]}`,
    });
    // A thousand calls at once, on a machine that may be busy: here waiting is better than asking again.
    const client = new HoldfastClient(address, { attemptTimeoutMs: 10_000 });
    await this.#until(child, async () => (await client.listRelays('')).fresh);
    return { client, child };
  }

  /** Starts a relay node with a built-in relay. It is ready when a replica lists it. */
  startRelay(id: string, portMin: number): Child {
    return this.#start(id, 'relay-node', {
      HOLDFAST_RELAY_ID: id,
      HOLDFAST_RELAY_KIND: 'builtin',
      HOLDFAST_RELAY_CONTROL: `${host}:0`,
      HOLDFAST_RELAY_PORT_MIN: String(portMin),
      HOLDFAST_RELAY_PORT_MAX: String(portMin + 999),
      // Its only calls are those of the proof: do not wait for them when the stack stops.
      HOLDFAST_DRAIN_DEADLINE_SECONDS: '0',
    });
  }

  /** Stops everything in order: relays first, so that they can unregister while etcd runs. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  /** Ends all processes when there is no time to stop in order. */
  kill(): void {
    for (const child of this.#children) {
      child.kill('SIGKILL');
    }
  }

  async #stop(): Promise<void> {
    await Promise.all(
      this.#children.filter(({ name }) => name.startsWith('relay')).map((child) => child.stop(5000)),
    );
    await Promise.all(this.#children.map((child) => child.stop(5000)));
    await this.#embedded?.stop();
  }

  #start(name: string, command: string, environment: Record<string, string>): Child {
    // A process started while the stack is stopping would be left behind.
    if (this.#stopped !== undefined) {
      throw new CommandError(`${name} not started: everything is being stopped`);
    }
    const common = { HOLDFAST_ETCD: this.etcd, HOLDFAST_HTTP_LISTEN: `${host}:0` };
    const child = new Child(
      name,
      command,
      { ...common, ...environment },
      join(this.logDirectory, `${name}.log`),
    );
    this.#children.push(child);
    return child;
  }

  /** Waits until the condition holds, while the process is running. */
  async #until(child: Child, condition: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + startTimeoutMs;
    for (;;) {
      if (await condition().catch(() => false)) {
        return;
      }
      if (!child.running) {
        throw new CommandError(`${child.name} ended at once; its last lines:\n${child.lastLines()}`);
      }
      if (Date.now() > deadline) {
        throw new CommandError(
          `${child.name} is not ready after ${startTimeoutMs / 1000} s; is etcd at ${this.etcd} healthy? Its last lines:\n${child.lastLines()}`,
          exits.unavailable,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** The port, or a free one for 0. @throws if another process has it */
function freePort(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().on('error', reject);
    server.listen({ port, host, exclusive: true }, () => {
      const address = server.address() as AddressInfo;
      server.close(() => resolve(address.port));
    });
  });
}
