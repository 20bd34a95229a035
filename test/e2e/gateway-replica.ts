import { HoldfastClient } from '../../services/cli/client.js';
import { freeTcpPort, freeUdpPort } from '../support/ports.js';
import type { Scope, TestProcess } from '../support/process.js';
import { type LogLine, logged, logOf, startHoldfast } from '../support/stack.js';

/** One `holdfast selection` process with a gateway; it can be started again on the same ports. */
export class GatewayReplica {
  readonly client: HoldfastClient;
  #process: TestProcess | undefined;
  readonly #past: LogLine[] = [];

  private constructor(
    private readonly scope: Scope,
    private readonly etcd: string,
    readonly grpcPort: number,
    /** Where the gateway listens: host and port as in a URL. */
    readonly ng: string,
  ) {
    this.client = new HoldfastClient(`127.0.0.1:${grpcPort}`);
    scope.teardown(() => this.client.close());
  }

  static async start(scope: Scope, etcd: string, host = '127.0.0.1'): Promise<GatewayReplica> {
    const ngPort = await freeUdpPort(host);
    const ng = host.includes(':') ? `[${host}]:${ngPort}` : `${host}:${ngPort}`;
    const replica = new GatewayReplica(scope, etcd, await freeTcpPort(), ng);
    await replica.#run();
    return replica;
  }

  get ngPort(): number {
    return Number(this.ng.slice(this.ng.lastIndexOf(':') + 1));
  }

  /** What it has logged with this message, over all its lives. */
  logged(message: string): LogLine[] {
    return [...this.#past, ...this.#log()].filter(({ msg }) => msg === message);
  }

  warnings(): LogLine[] {
    return [...this.#past, ...this.#log()].filter(({ level }) => level >= 40);
  }

  /** Stops it in good order, and starts it again. */
  async restart(): Promise<void> {
    await this.#process?.stop();
    this.#past.push(...this.#log());
    await this.#run();
  }

  #log(): LogLine[] {
    return this.#process ? logOf(this.#process) : [];
  }

  async #run(): Promise<void> {
    this.#process = await startHoldfast(this.scope, ['selection'], {
      HOLDFAST_ETCD: this.etcd,
      HOLDFAST_HTTP_LISTEN: '127.0.0.1:0',
      HOLDFAST_GRPC_LISTEN: `127.0.0.1:${this.grpcPort}`,
      HOLDFAST_NG_LISTEN: this.ng,
    });
    await logged(this.#process, 'ready');
  }
}
