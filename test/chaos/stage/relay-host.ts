import { freeUdpPort } from '../../support/ports.js';
import type { Scope } from '../../support/process.js';
import { findProgram } from '../../support/program.js';
import { type Rtpengine, startRtpengine } from '../../support/rtpengine.js';
import { Links } from './links.js';
import { Component } from './part.js';

export interface RelayHostOptions {
  readonly id: string;
  /** The loopback address that only this relay has: media in an SDP tell by it whose they are. */
  readonly address: string;
  readonly members: readonly string[];
  readonly directory: string;
  /** Beside an rtpengine, if that is installed; else the node is a relay itself. */
  readonly rtpengine: boolean;
  readonly env: Readonly<Record<string, string>>;
}

/** One relay with its relay node, and their ways to etcd. */
export class RelayHost {
  private constructor(
    readonly id: string,
    readonly address: string,
    readonly node: Component,
    readonly links: Links,
    /** Undefined where the relay is in the node's process. */
    readonly rtpengine: Rtpengine | undefined,
  ) {}

  static async start(scope: Scope, options: RelayHostOptions): Promise<RelayHost> {
    const { id, address, members, directory, env } = options;
    const links = await Links.start(scope, [id, 'etcd'], members);
    const isBeside = options.rtpengine && findProgram('rtpengine') !== undefined;
    const rtpengine = isBeside ? await startRtpengine(scope, ['--num-threads=1'], address) : undefined;
    const port = rtpengine?.port ?? (await freeUdpPort());
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
        HOLDFAST_RELAY_MEDIA: `default=${address}`,
        HOLDFAST_RELAY_DELETE_DELAY_SECONDS: '0',
        ...env,
      },
    });
    await node.start();
    return new RelayHost(id, address, node, links, rtpengine);
  }

  /** The media process: an rtpengine, or the node that is a relay itself. */
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
