import { randomInt } from 'node:crypto';
import { ProxyClient } from '../support/ng.js';
import { freeUdpPort } from '../support/ports.js';
import type { Scope, TestProcess } from '../support/process.js';
import { startRtpengine } from '../support/rtpengine.js';
import { sessionsOn, startRtpproxy } from '../support/rtpproxy.js';
import { startHoldfast } from '../support/stack.js';

const mostListed = 1000;

/** A loopback network for the media of one test, so that no relay of another test has the same ports. */
export function mediaNetwork(): string {
  return `127.${randomInt(100, 250)}.${randomInt(1, 250)}`;
}

export interface RelaySpec {
  readonly id: string;
  readonly kind: 'rtpengine' | 'builtin' | 'rtpproxy';
  /** Its relay set, if not `default`. */
  readonly set?: string;
  readonly weight?: number;
  /** Further arguments of rtpengine. */
  readonly args?: readonly string[];
  /** Ports of an rtpproxy; with one pair it is full. */
  readonly portPairs?: number;
}

/** One media relay with its relay node. Its media address identifies it in an SDP. */
export interface TestRelay {
  readonly id: string;
  readonly kind: RelaySpec['kind'];
  readonly set: string;
  readonly address: string;
  /** Where it is controlled, an rtpengine or built-in relay by ng. */
  readonly port: number;
  /** Where it is controlled as an rtpproxy. */
  readonly rtpproxyPort: number | undefined;
  /** A client of the relay itself, past any gateway; not of an rtpproxy. */
  readonly ng: ProxyClient;
  /** Calls that it carries; of an rtpproxy, streams. One that is full has none of its relay node's. */
  sessions(): Promise<number>;
  /** Kills the media process: rtpengine alone, or the relay node with the built-in relay. */
  kill(): Promise<unknown>;
  /** Freezes the relay and its relay node, like a machine that hangs. Resolves when both have stopped. */
  freeze(): Promise<void>;
  thaw(): void;
}

/** Starts the relay and, with etcd, a relay node that registers it. */
export async function startRelay(
  scope: Scope,
  { id, kind, set = 'default', weight = 100, args = [], portPairs }: RelaySpec,
  address: string,
  etcd?: string,
): Promise<TestRelay> {
  const rtpengine = kind === 'rtpengine' ? await startRtpengine(scope, args, address) : undefined;
  const ports = portPairs === undefined ? {} : { portPairs };
  const rtpproxy = kind === 'rtpproxy' ? await startRtpproxy(scope, { address, ...ports }) : undefined;
  const engine = rtpengine ?? rtpproxy;
  const port = engine?.port ?? (await freeUdpPort());
  const rtpproxyPort = rtpproxy?.port ?? (kind === 'builtin' ? await freeUdpPort() : undefined);
  const node =
    etcd === undefined && engine
      ? undefined
      : await startHoldfast(scope, ['relay-node'], {
          HOLDFAST_ETCD: etcd ?? '127.0.0.1:1',
          HOLDFAST_HTTP_LISTEN: '127.0.0.1:0',
          HOLDFAST_RELAY_ID: id,
          HOLDFAST_RELAY_SET: set,
          HOLDFAST_RELAY_KIND: kind,
          HOLDFAST_RELAY_CONTROL: `127.0.0.1:${port}`,
          HOLDFAST_RELAY_MEDIA: `default=${address}`,
          HOLDFAST_RELAY_WEIGHT: `${weight}`,
          ...(kind === 'builtin' ? { HOLDFAST_RELAY_RTPPROXY_LISTEN: `127.0.0.1:${rtpproxyPort}` } : {}),
          // As the rtpengines of the tests: a call that has ended is not listed.
          HOLDFAST_RELAY_DELETE_DELAY_SECONDS: '0',
        });
  const ng = new ProxyClient('127.0.0.1', port, { timeoutMs: 1000, retransmitMs: 200 });
  await ng.start();
  scope.teardown(() => ng.stop());
  if (!rtpproxy) {
    await node?.waitUntil(async () => (await ng.ping())['result'] === 'pong', `pong of ${id}`);
  }
  return {
    ...{ id, kind, set, address, port, rtpproxyPort, ng },
    sessions: async () =>
      rtpproxy ? Math.max(0, await sessionsOn(rtpproxy, node ? 1 : 0)) : (await ng.list(mostListed)).length,
    kill: () => (engine ?? (node as TestProcess)).kill(),
    async freeze() {
      await Promise.all([node?.pause(), engine?.pause()]);
    },
    thaw() {
      engine?.resume();
      node?.resume();
    },
  };
}
