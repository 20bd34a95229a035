import { startRealEtcd } from '../support/etcd.js';
import { ProxyClient } from '../support/ng.js';
import type { Scope } from '../support/process.js';
import { eventually } from '../support/registry.js';
import { mediaNetwork, startRelay, type TestRelay } from './gateway-relays.js';
import { GatewayReplica } from './gateway-replica.js';

/** The programs that a stage needs. */
export const stagePrograms = ['etcd', 'rtpengine'];

export interface Stage {
  readonly relays: readonly TestRelay[];
  readonly gateway: GatewayReplica;
  /** The gateway's client, in place of a SIP proxy. */
  readonly proxy: ProxyClient;
}

/** A scene without SIP: rtpengines, one gateway and a client. */
export async function stage(scope: Scope, relays: number, host = '127.0.0.1'): Promise<Stage> {
  const [{ endpoint }, network] = [await startRealEtcd(scope), mediaNetwork()];
  const ids = Array.from({ length: relays }, (_, index) => index + 1);
  const [gateway, ...started] = await Promise.all([
    GatewayReplica.start(scope, endpoint, { host }),
    ...ids.map((id) =>
      startRelay(scope, { id: `media-${id}`, kind: 'rtpengine' }, `${network}.${id}`, endpoint),
    ),
  ] as [Promise<GatewayReplica>, ...Promise<TestRelay>[]]);
  await eventually(
    async () => (await gateway.client.listRelays('default')).relays.length === relays,
    'relays at the gateway',
  );
  const proxy = new ProxyClient(host, gateway.ngPort);
  await proxy.start();
  scope.teardown(() => proxy.stop());
  return { relays: started, gateway, proxy };
}
