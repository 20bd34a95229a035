import { freeUdpPort } from '../../support/ports.js';
import type { Scope } from '../../support/process.js';
import { findProgram } from '../../support/program.js';
import { type Rtpengine, startRtpengine } from '../../support/rtpengine.js';
import { UdpProxy } from '../../support/udp-proxy.js';
import { Component } from './component.js';
import { Links } from './links.js';

export interface RelayHostOptions {
  readonly id: string;
  /** A loopback address of this relay alone, which identifies it in an SDP. */
  readonly address: string;
  readonly members: readonly string[];
  readonly directory: string;
  /** Whether the relay is an rtpengine, if that is installed; otherwise it is the built-in one. */
  readonly rtpengine: boolean;
  readonly env: Readonly<Record<string, string>>;
}

/** One relay with its relay node and its connections to etcd. */
export class RelayHost {
  private constructor(
    readonly id: string,
    readonly address: string,
    readonly node: Component,
    readonly links: Links,
    /** Before its control port, for all but its relay node. */
    readonly control: UdpProxy,
    /** Its control port. */
    readonly port: number,
    /** Undefined for the built-in relay. */
    readonly rtpengine: Rtpengine | undefined,
  ) {}

  static async start(scope: Scope, options: RelayHostOptions): Promise<RelayHost> {
    const { id, address, members, directory, env } = options;
    const links = await Links.start(scope, [id, 'etcd'], members);
    const isBeside = options.rtpengine && findProgram('rtpengine') !== undefined;
    const rtpengine = isBeside ? await startRtpengine(scope, ['--num-threads=1'], address) : undefined;
    const port = rtpengine?.port ?? (await freeUdpPort());
    const control = await UdpProxy.start(scope, port);
    const node = new Component(scope, {
      name: id,
      args: ['relay-node'],
      isUp: 'registered',
      directory,
      env: {
        HOLDFAST_ETCD: links.endpoints,
        HOLDFAST_RELAY_ID: id,
        HOLDFAST_RELAY_KIND: rtpengine ? 'rtpengine' : 'builtin',
        HOLDFAST_RELAY_CONTROL: `127.0.0.1:${port}`,
        HOLDFAST_RELAY_ADVERTISE: `127.0.0.1:${control.port}`,
        HOLDFAST_RELAY_MEDIA: `default=${address}`,
        HOLDFAST_RELAY_DELETE_DELAY_SECONDS: '0',
        ...env,
      },
    });
    await node.start();
    return new RelayHost(id, address, node, links, control, port, rtpengine);
  }

  /** Kills the media process: the rtpengine, or the relay node with the built-in relay. */
  async killRelay(): Promise<void> {
    if (this.rtpengine) {
      await this.rtpengine.kill();
    } else {
      await this.node.kill();
    }
  }

  async startRelay(): Promise<void> {
    if (this.rtpengine) {
      await this.rtpengine.restart();
    } else {
      await this.node.start();
    }
  }

  async pauseRelay(): Promise<void> {
    await (this.rtpengine ?? this.node).pause();
  }

  resumeRelay(): void {
    (this.rtpengine ?? this.node).resume();
  }
}
