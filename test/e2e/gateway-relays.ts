import { randomInt } from 'node:crypto';
import { ProxyClient } from '../support/ng.js';
import { freeUdpPort } from '../support/ports.js';
import type { Scope, TestProcess } from '../support/process.js';
import { startRtpengine } from '../support/rtpengine.js';
import { startHoldfast } from '../support/stack.js';

/** A loopback network of its own for one test's media: no relay of another test has the same ports. */
export function mediaNetwork(): string {
  return `127.${randomInt(100, 250)}.${randomInt(1, 250)}`;
}

export interface RelaySpec {
  readonly id: string;
  readonly kind: 'rtpengine' | 'builtin';
  readonly weight?: number;
  /** For rtpengine itself. */
  readonly args?: readonly string[];
}

/** One media relay with its relay node. The others have other addresses, which tell in an SDP whose it is. */
export interface TestRelay {
  readonly id: string;
  readonly address: string;
  /** Where it is controlled. */
  readonly port: number;
  /** Asks the relay itself, past any gateway. */
  readonly ng: ProxyClient;
  /** The process with the media in it: rtpengine, whose node lives on, or the node that is a relay itself. */
  kill(): Promise<unknown>;
  /** The relay and its node, as if their machine stood still; resolves when they do. */
  freeze(): Promise<void>;
  thaw(): void;
}

/** Starts the relay, which its relay node registers; without etcd there is nobody to register it. */
export async function startRelay(
  scope: Scope,
  { id, kind, weight = 100, args = [] }: RelaySpec,
  address: string,
  etcd?: string,
): Promise<TestRelay> {
  const rtpengine = kind === 'rtpengine' ? await startRtpengine(scope, args, address) : undefined;
  const port = rtpengine?.port ?? (await freeUdpPort());
  const node =
    etcd === undefined && rtpengine
      ? undefined
      : await startHoldfast(scope, ['relay-node'], {
          HOLDFAST_ETCD: etcd ?? '127.0.0.1:1',
          HOLDFAST_HTTP_LISTEN: '127.0.0.1:0',
          HOLDFAST_RELAY_ID: id,
          HOLDFAST_RELAY_KIND: kind,
          HOLDFAST_RELAY_CONTROL: `127.0.0.1:${port}`,
          HOLDFAST_RELAY_MEDIA: `default=${address}`,
          HOLDFAST_RELAY_WEIGHT: `${weight}`,
          // As the rtpengines of the tests: a call that has ended is not listed.
          HOLDFAST_RELAY_DELETE_DELAY_SECONDS: '0',
        });
  const ng = new ProxyClient('127.0.0.1', port, { timeoutMs: 1000, retransmitMs: 200 });
  await ng.start();
  scope.teardown(() => ng.stop());
  await node?.waitUntil(async () => (await ng.ping())['result'] === 'pong', `pong of ${id}`);
  return {
    ...{ id, address, port, ng },
    kill: () => (rtpengine ?? (node as TestProcess)).kill(),
    async freeze() {
      await Promise.all([node?.pause(), rtpengine?.pause()]);
    },
    thaw() {
      rtpengine?.resume();
      node?.resume();
    },
  };
}
