import { HoldfastClient } from '../../services/client/index.js';
import { formatAddress } from '../../services/runtime/address.js';
import { freeTcpPort, freeUdpPort } from '../support/ports.js';
import type { Scope, TestProcess } from '../support/process.js';
import { startWithSocket } from '../support/socket-keeper.js';
import { holdfast, type LogLine, logged, logOf, startHoldfast } from '../support/stack.js';

export interface GatewayReplicaOptions {
  readonly host?: string;
  /** The gateway's socket stays open while it restarts. */
  readonly keepsSocket?: boolean;
  /** Further settings. */
  readonly env?: Readonly<Record<string, string>>;
}

/** One `holdfast selection` process with a gateway, which can be restarted on the same ports. */
export class GatewayReplica {
  readonly client: HoldfastClient;
  #process: TestProcess | undefined;
  readonly #past: LogLine[] = [];

  private constructor(
    readonly scope: Scope,
    private readonly etcd: string,
    readonly grpcPort: number,
    private readonly host: string,
    readonly ngPort: number,
    private readonly rtpproxyPort: number,
    /** The gateway's socket stays open while it restarts. */
    private readonly keepsSocket: boolean,
    private readonly env: Readonly<Record<string, string>>,
  ) {
    this.client = new HoldfastClient(`127.0.0.1:${grpcPort}`);
    scope.teardown(() => this.client.close());
  }

  static async start(
    scope: Scope,
    etcd: string,
    { host = '127.0.0.1', keepsSocket = false, env = {} }: GatewayReplicaOptions = {},
  ): Promise<GatewayReplica> {
    const grpcPort = await freeTcpPort();
    const [ngPort, rtpproxyPort] = [await freeUdpPort(host), await freeUdpPort(host)];
    const ports = [ngPort, rtpproxyPort] as const;
    const replica = new GatewayReplica(scope, etcd, grpcPort, host, ...ports, keepsSocket, env);
    await replica.run();
    return replica;
  }

  /** The addresses of its gateways, by protocol. */
  get ng(): string {
    return formatAddress({ host: this.host, port: this.ngPort });
  }

  get rtpproxy(): string {
    return formatAddress({ host: this.host, port: this.rtpproxyPort });
  }

  /** Its log lines with this message, across restarts. */
  logged(message: string): LogLine[] {
    return [...this.#past, ...this.#log()].filter(({ msg }) => msg === message);
  }

  warnings(): LogLine[] {
    return [...this.#past, ...this.#log()].filter(({ level }) => level >= 40);
  }

  /** Stops it gracefully, and starts it again. */
  async restart(): Promise<void> {
    if (this.keepsSocket && this.#process) {
      const lives = this.logged('ready').length;
      process.kill(this.#process.pid, 'SIGHUP');
      await this.#process.waitUntil(() => this.logged('ready').length > lives, 'another life');
      return;
    }
    await this.#process?.stop();
    this.#past.push(...this.#log());
    await this.run();
  }

  /** Ends it at once; `run` starts it again. */
  async kill(): Promise<void> {
    await this.#process?.kill();
    this.#past.push(...this.#log());
  }

  async run(): Promise<void> {
    const env = {
      HOLDFAST_ETCD: this.etcd,
      HOLDFAST_HTTP_LISTEN: '127.0.0.1:0',
      HOLDFAST_GRPC_LISTEN: `127.0.0.1:${this.grpcPort}`,
      HOLDFAST_NG_LISTEN: this.ng,
      HOLDFAST_RTPPROXY_LISTEN: this.rtpproxy,
      ...this.env,
    };
    const { scope, host, ngPort: port } = this;
    this.#process = this.keepsSocket
      ? await startWithSocket(scope, { host, port }, [process.execPath, holdfast, 'selection'], env)
      : await startHoldfast(scope, ['selection'], env);
    await logged(this.#process, 'ready');
  }

  #log(): LogLine[] {
    return this.#process ? logOf(this.#process) : [];
  }
}
