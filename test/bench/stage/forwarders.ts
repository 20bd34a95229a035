import type { NgDictionary } from '../../../services/control/ng/message.js';
import { type KernelScene, networks, type Phone, untrusted } from '../../support/kernel-scene.js';
import { RemoteProxy } from '../../support/network-host.js';
import { newCall, relayedTo } from '../../support/ng.js';
import { findProgram } from '../../support/program.js';
import { rtpproxyCommand } from '../../support/rtpproxy.js';
import { MissingProgramError } from '../bench-case.js';

const { relay: address } = networks.IPv4;
/** Calls wait for their turn without packets. */
const idleSeconds = 3600;

/** Where the caller is to send, so that the callee hears it, and the other way round. */
export interface Targets {
  readonly caller: { readonly port: number; readonly address: string };
  readonly callee: { readonly port: number; readonly address: string };
}

/** What forwards packets on the host of a relay. */
export interface Forwarder {
  readonly name: string;
  /** Of the program that does it; undefined if the kernel alone does. */
  readonly pid: number | undefined;
  connect(caller: Phone, callee: Phone): Promise<Targets>;
  /** That it has handed to the kernel. */
  readonly kernelPackets?: () => Promise<number>;
}

export type Start = (scene: KernelScene) => Promise<Forwarder>;

/** Each with ports of its own for media: so many from the first one on. */
const mediaPorts = 10_000;
/** Below all of them. */
const controlOf = (portMin: number) => 2000 + portMin / 1000;

export const ipForward: Start = async (scene) => {
  await scene.relay.exec('sysctl', '-qw', 'net.ipv4.ip_forward=1');
  await scene.near.exec('ip', 'route', 'add', 'default', 'via', address);
  return {
    name: 'ip_forward',
    pid: undefined,
    connect: async (caller, callee) => ({ caller: callee.socket, callee: caller.socket }),
  };
};

export const builtin =
  (forwarding: 'kernel' | 'userspace', portMin: number): Start =>
  async (scene) => {
    const control = controlOf(portMin);
    const { pid } = await scene.startRelay({
      HOLDFAST_RELAY_FORWARDING: forwarding,
      HOLDFAST_RELAY_ID: `media-${portMin}`,
      HOLDFAST_RELAY_CAPACITY: '10000',
      HOLDFAST_RELAY_IDLE_TIMEOUT_SECONDS: `${idleSeconds}`,
      HOLDFAST_RELAY_CONTROL: `${address}:${control}`,
      HOLDFAST_RELAY_PORT_MIN: `${portMin}`,
      HOLDFAST_RELAY_PORT_MAX: `${portMin + mediaPorts - 1}`,
      HOLDFAST_HTTP_LISTEN: '127.0.0.1:0',
    });
    const proxy = new RemoteProxy(scene.relay, address, control);
    const forwarder = { name: `built-in, ${forwarding}`, pid, connect: ngConnect(proxy) };
    if (forwarding === 'userspace') {
      return forwarder;
    }
    const kernelPackets = async () => {
      const { totalstatistics } = (await proxy.statistics())['statistics'] as Record<string, NgDictionary>;
      return Number(totalstatistics?.['relayedpackets_kernel']);
    };
    return { ...forwarder, kernelPackets };
  };

export const rtpengine =
  (portMin: number): Start =>
  async (scene) => {
    const program = findProgram('rtpengine');
    if (program === undefined) {
      throw new MissingProgramError('rtpengine');
    }
    const control = controlOf(portMin);
    const daemon = await scene.relay.run([
      ...[program, '--table=-1', `--listen-ng=${address}:${control}`, `--interface=${address}`],
      ...[`--port-min=${portMin}`, `--port-max=${portMin + mediaPorts - 1}`, `--timeout=${idleSeconds}`],
      ...['--config-file=none', '--foreground', '--log-stderr', '--log-level=3'],
    ]);
    const proxy = new RemoteProxy(scene.relay, address, control);
    await daemon.waitUntil(
      async () => (await proxy.request({ command: 'ping' }))['result'] === 'pong',
      'a pong',
    );
    return { name: 'rtpengine, userspace', pid: daemon.pid, connect: ngConnect(proxy) };
  };

/** From 30,000 on, and with twice as many ports: it draws them at random, and does not find the last ones. */
export const rtpIo: Start = async (scene) => {
  if (!findProgram('rtp-io')) {
    throw new MissingProgramError('rtp-io');
  }
  const engine = ['-l', address, '-T', `${idleSeconds}`];
  const { port, program, args, env } = await rtpproxyCommand({ address, engine, portPairs: mediaPorts });
  const daemon = await scene.relay.run([program, ...args], { env });
  const ask = (text: string) => scene.relay.ask('rtpproxy', '127.0.0.1', port, text);
  await daemon.waitUntil(async () => (await ask('V')) === '20040107', 'an answer to V');
  const told = (reply: string) => {
    const port = Number.parseInt(reply, 10);
    if (!(port > 0)) {
      throw new Error(`rtp-io answered ${reply}`);
    }
    return { port, address };
  };
  return {
    name: 'rtp-io',
    pid: daemon.pid,
    connect: async ({ socket: caller }, { socket: callee }) => {
      const { callId } = newCall();
      const toCallee = await ask(`Uc0,8 ${callId} ${caller.address} ${caller.port} f`);
      const toCaller = await ask(`Lc0,8 ${callId} ${callee.address} ${callee.port} f t`);
      return { caller: told(toCaller), callee: told(toCallee) };
    },
  };
};

function ngConnect(proxy: RemoteProxy): Forwarder['connect'] {
  return async (caller, callee) => {
    const tags = newCall();
    const toCallee = relayedTo(await proxy.offer(tags, caller.sdp(1), { extra: untrusted }));
    const toCaller = relayedTo(await proxy.answer(tags, callee.sdp(1), untrusted));
    return { caller: toCaller, callee: toCallee };
  };
}
