import { freeTcpPorts, freeUdpPort } from '../../support/ports.js';
import type { Scope } from '../../support/process.js';
import { Component } from './component.js';
import { Links } from './links.js';

export interface ReplicaHostOptions {
  readonly name: string;
  readonly members: readonly string[];
  readonly directory: string;
  readonly env: Readonly<Record<string, string>>;
  readonly module?: string | undefined;
}

/** One replica with its gateway at fixed addresses, its connections to etcd, and the callers' connections to it. */
export class ReplicaHost {
  private constructor(
    readonly component: Component,
    readonly links: Links,
    readonly door: Links,
    readonly http: string,
    readonly ngPort: number,
  ) {}

  static async start(scope: Scope, options: ReplicaHostOptions): Promise<ReplicaHost> {
    const { name, members, directory, env, module } = options;
    const links = await Links.start(scope, [name, 'etcd'], members);
    const [grpcPort = 0, httpPort = 0] = await freeTcpPorts(2);
    const ngPort = await freeUdpPort();
    const grpc = `127.0.0.1:${grpcPort}`;
    const http = `127.0.0.1:${httpPort}`;
    const door = await Links.start(scope, ['callers', name], [grpc]);
    const component = new Component(scope, {
      name,
      args: ['selection'],
      isUp: 'ready',
      directory,
      module,
      env: {
        HOLDFAST_ETCD: links.endpoints,
        HOLDFAST_GRPC_LISTEN: grpc,
        HOLDFAST_HTTP_LISTEN: http,
        HOLDFAST_NG_LISTEN: `127.0.0.1:${ngPort}`,
        ...env,
      },
    });
    await component.start();
    return new ReplicaHost(component, links, door, http, ngPort);
  }

  /** The gRPC address for callers. */
  get grpc(): string {
    return this.door.endpoints;
  }

  get name(): string {
    return this.component.name;
  }
}
