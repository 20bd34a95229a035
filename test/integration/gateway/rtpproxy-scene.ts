import type { ExecutionContext } from 'ava';
import { capabilities, capabilityFeature } from '../../../services/control/rtpproxy/capabilities.js';
import { selfHost } from '../../../services/control/rtpproxy/notify-socket.js';
import { UdpClient } from '../../../services/control/udp/client.js';
import type { Relay } from '../../../services/domain/relay.js';
import { parseAddress } from '../../../services/runtime/address.js';
import { freeTcpPort } from '../../support/ports.js';
import type { Scope } from '../../support/process.js';
import { lookup, replicaScene, select } from '../../support/replica.js';
import { type RtpproxyOptions, startRtpproxy } from '../../support/rtpproxy.js';

export const allCapabilities = capabilities.map(capabilityFeature);

/** What a SIP proxy sends, from a socket of its own. @returns the reply without its end of line */
export type Ask = (command: string) => Promise<string>;

export async function proxyOf(scope: Scope, host: string, port: number): Promise<Ask> {
  const client = new UdpClient({ host, port, timeoutMs: 5000, retransmitMs: 1000 });
  await client.start();
  scope.teardown(() => client.stop());
  return async (command) =>
    (await client.request(Buffer.from(command, 'latin1'))).toString('latin1').replace(/\n$/, '');
}

/** A replica with a gateway in front of these relays, and a SIP proxy. */
export async function rtpproxyGateway(
  t: ExecutionContext,
  relays: readonly Partial<Relay>[],
  env: Readonly<Record<string, string>> = {},
) {
  const registered = relays.map((relay) => ({
    kind: 'rtpproxy' as const,
    features: allCapabilities,
    ...relay,
  }));
  const scene = await replicaScene(t, registered, {
    HOLDFAST_RTPPROXY_LISTEN: '127.0.0.1:0',
    HOLDFAST_PLACEMENT: 'first-available',
    ...env,
  });
  // The first write takes longest, and a proxy is answered within 0.9 s.
  await select(scene.selection, { callId: 'warm-up' }).catch(() => undefined);
  const { host, port } = parseAddress(scene.replica.gatewayAddresses('rtpproxy')[0] ?? '') ?? {
    host: '',
    port: 0,
  };
  return {
    ...scene,
    port,
    ask: await proxyOf(t, host, port),
    /** Relay, state and generation of a call; undefined if it is not bound. */
    bindingOf: async (callId: string) => {
      const { binding } = await lookup(scene.selection, callId).catch(() => ({ binding: undefined }));
      return (
        binding && {
          relay: binding.relay?.id,
          generation: Number(binding.generation),
          released: binding.released,
        }
      );
    },
  };
}

/** So many engines, r1 first, and a gateway in front of them. */
export async function enginesBehind(t: ExecutionContext, count: number, options: RtpproxyOptions = {}) {
  const engines = await Promise.all(Array.from({ length: count }, () => startRtpproxy(t, options)));
  const relays = engines.map(({ controlUrl }, i) => ({ id: `r${i + 1}`, controlUrl }));
  return { engines, ...(await rtpproxyGateway(t, relays)) };
}

/** Engines whose sessions end after `ttl` seconds without media, and a gateway that they tell. */
export async function notifyingEngines(
  t: ExecutionContext,
  count: number,
  { ttl, sockets }: { ttl: number; sockets: readonly string[] },
) {
  const port = await freeTcpPort();
  const engine = ['-l', '127.0.0.1', '-T', `${ttl}`, '-n', `tcp:${selfHost}:${port}`];
  const engines = await Promise.all(Array.from({ length: count }, () => startRtpproxy(t, { engine })));
  const relays = engines.map(({ controlUrl }, i) => ({ id: `r${i + 1}`, controlUrl }));
  const env = {
    HOLDFAST_RTPPROXY_NOTIFY: sockets.join(','),
    HOLDFAST_RTPPROXY_NOTIFY_LISTEN: `127.0.0.1:${port}`,
  };
  return { ...(await rtpproxyGateway(t, relays, env)), engines, relays, env, notifyPort: port };
}
