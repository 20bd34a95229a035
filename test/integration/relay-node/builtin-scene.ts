import type { ExecutionContext } from 'ava';
import type { Offload } from '../../../relay-node/media/offload.js';
import { BuiltinRelay, type BuiltinRelayOptions } from '../../../relay-node/relays/builtin.js';
import { silentLogger } from '../../../services/runtime/log.js';
import { ManualClock } from '../../support/clock.js';
import { interfacesAt } from '../../support/media-interface.js';
import { audioSdp, type CallTags, newCall, ProxyClient, relayedTo } from '../../support/ng.js';
import { freeUdpBlock } from '../../support/ports.js';
import { RtpParty } from '../../support/rtp.js';

export interface Scene {
  readonly relay: BuiltinRelay;
  readonly proxy: ProxyClient;
  readonly clock: ManualClock;
  readonly portMin: number;
  readonly portMax: number;
}

export interface SceneOptions extends Partial<BuiltinRelayOptions> {
  readonly pairs?: number;
  readonly offload?: Offload;
  /** Of control and, unless there are others, of media. */
  readonly mediaAddress?: string;
}

export async function scene(t: ExecutionContext, options: SceneOptions = {}): Promise<Scene> {
  const clock = new ManualClock();
  const host = options.mediaAddress ?? '127.0.0.1';
  const ports = 2 * (options.pairs ?? 16);
  const portMin = options.portMin ?? (await freeUdpBlock(ports, host));
  const portMax = portMin + ports - 1;
  const relay = new BuiltinRelay({
    ngListen: { host, port: 0 },
    interfaces: interfacesAt(host),
    portMin,
    portMax,
    maxSessions: 100,
    idleTimeoutMs: 60_000,
    deleteDelayMs: 0,
    clock,
    log: silentLogger,
    ...options,
  });
  await relay.start();
  relay.media.sockets.offload = options.offload;
  const proxy = new ProxyClient(host, controlPort(relay));
  await proxy.start();
  t.teardown(async () => {
    await proxy.stop();
    await relay.stop();
    const { portPairs, portPairsFree } = relay.media.load();
    if (portPairs !== portPairsFree) {
      throw new Error(`${portPairs - portPairsFree} port pairs are left open`);
    }
  });
  return { relay, proxy, clock, portMin, portMax };
}

export function controlPort(relay: BuiltinRelay): number {
  return Number(/:(\d+)$/.exec(relay.controlUrl)?.[1]);
}

/** A SIP proxy that controls the relay at that port of loopback. */
export async function proxyOf(t: ExecutionContext, port: number): Promise<ProxyClient> {
  const proxy = new ProxyClient('127.0.0.1', port);
  await proxy.start();
  t.teardown(() => proxy.stop());
  return proxy;
}

export async function party(t: ExecutionContext, address?: string): Promise<RtpParty> {
  const opened = await RtpParty.open(address);
  t.teardown(() => opened.close());
  return opened;
}

export const sdpOf = (phone: RtpParty, version = 1) =>
  audioSdp({ address: phone.address, port: phone.port, rtcpPort: phone.rtcpPort, version });

export interface Established extends Scene {
  readonly call: CallTags;
  readonly caller: RtpParty;
  readonly callee: RtpParty;
  /** Where the caller was told to send, by the answer. */
  readonly forCaller: { address: string; port: number; rtcpPort: number };
  readonly forCallee: { address: string; port: number; rtcpPort: number };
}

export async function established(
  t: ExecutionContext,
  options: Parameters<typeof scene>[1] = {},
): Promise<Established> {
  const stage = await scene(t, options);
  const [caller, callee] = [await party(t, options.mediaAddress), await party(t, options.mediaAddress)];
  const call = newCall();
  const forCallee = relayedTo(await stage.proxy.offer(call, sdpOf(caller)));
  const forCaller = relayedTo(await stage.proxy.answer(call, sdpOf(callee)));
  return { ...stage, call, caller, callee, forCaller, forCallee };
}

/** For what only a counter shows, such as a packet that is not passed on. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadline) {
      throw new Error('the condition did not come true within 10 s');
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}
