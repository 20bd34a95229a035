import type { ExecutionContext } from 'ava';
import { BuiltinRelay, type BuiltinRelayOptions } from '../../../relay-node/relays/builtin.js';
import type { Relay } from '../../../services/domain/relay.js';
import { parseAddress } from '../../../services/runtime/address.js';
import { systemClock } from '../../../services/runtime/clock.js';
import { silentLogger } from '../../../services/runtime/log.js';
import { interfacesAt } from '../../support/media-interface.js';
import { ProxyClient } from '../../support/ng.js';
import { freeUdpBlock } from '../../support/ports.js';
import { replicaScene, select } from '../../support/replica.js';

export async function builtinRelay(
  t: ExecutionContext,
  options: Partial<BuiltinRelayOptions> = {},
): Promise<BuiltinRelay> {
  const portMin = await freeUdpBlock(200);
  const relay = new BuiltinRelay({
    ngListen: { host: '127.0.0.1', port: 0 },
    rtpproxyListen: { host: '127.0.0.1', port: 0 },
    interfaces: interfacesAt(),
    portMin,
    portMax: portMin + 199,
    maxSessions: 100,
    idleTimeoutMs: 60_000,
    clock: systemClock,
    log: silentLogger,
    ...options,
  });
  await relay.start();
  t.teardown(() => relay.stop());
  return relay;
}

/** A replica with a gateway in front of these relays, and a SIP proxy for each of its listeners. */
export async function gateway(
  t: ExecutionContext,
  relays: readonly Partial<Relay>[],
  listen = '127.0.0.1:0',
) {
  const scene = await replicaScene(t, relays, { HOLDFAST_NG_LISTEN: listen });
  // The first write takes longest, and a proxy is answered within 0.9 s.
  await select(scene.selection, { callId: 'warm-up' }).catch(() => undefined);
  const proxies = await Promise.all(
    scene.replica.gatewayAddresses('ng').map(async (text) => {
      const { host, port } = parseAddress(text) ?? { host: '', port: 0 };
      const proxy = new ProxyClient(host, port);
      await proxy.start();
      t.teardown(() => proxy.stop());
      return proxy;
    }),
  );
  return { ...scene, proxy: proxies[0] as ProxyClient, proxies };
}
