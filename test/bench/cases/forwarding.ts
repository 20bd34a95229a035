import { KernelScene, networks, nft } from '../../support/kernel-scene.js';
import { RemoteProxy } from '../../support/network-host.js';
import type { Flow } from '../../support/network-host-process.js';
import type { TestProcess } from '../../support/process.js';
import type { BenchCase, Context } from '../bench-case.js';
import { cpuSeconds } from '../stage/cpu.js';

const packetsPerSecond = 10_000;
const { relay } = networks.IPv4;
const userspaceControl = 2224;
/** Where packets are dropped as soon as they arrive: the generator alone. */
const dropPort = 9;

/** CPU time that a packet takes in the relay, in the kernel and in user space. It needs root. */
export const forwarding: BenchCase = {
  name: 'forwarding',
  title: 'CPU time of a packet, in the kernel and in user space',
  async run(context) {
    const calls = context.pick(200, 5);
    const scene = await KernelScene.open(context.scope);
    await drop(scene);
    const kernel = await scene.startRelay({ HOLDFAST_RELAY_FORWARDING: 'kernel' });
    const userspace = await scene.startRelay({
      HOLDFAST_RELAY_FORWARDING: 'userspace',
      HOLDFAST_RELAY_ID: 'media-2',
      HOLDFAST_RELAY_CONTROL: `${relay}:${userspaceControl}`,
      HOLDFAST_RELAY_PORT_MIN: '40000',
      HOLDFAST_RELAY_PORT_MAX: '49999',
      HOLDFAST_HTTP_LISTEN: '127.0.0.1:7491',
    });
    const inKernel = await flowsOf(scene, scene.proxy, calls);
    const inUserspace = await flowsOf(scene, new RemoteProxy(scene.relay, relay, userspaceControl), calls);
    const dropped = inKernel.map(({ id }) => ({ id, port: dropPort, address: relay }));
    const ofRelays = (flows: readonly Flow[], node: TestProcess) => () =>
      microseconds(context, scene, flows, node);
    const baseline: number[] = [];
    const candidate: number[] = [];
    for (let round = 0; round < context.pick(9, 1); round++) {
      context.progress(`round ${round + 1}`);
      const turns = [ofRelays(inUserspace, userspace), ofRelays(inKernel, kernel), ofRelays(dropped, kernel)];
      const order = round % 2 === 0 ? [0, 1, 2] : [2, 1, 0];
      const costs: number[] = [];
      for (const turn of order) {
        costs[turn] = (await turns[turn]?.()) ?? 0;
      }
      const [user = 0, own = 0, alone = 0] = costs;
      baseline.push(user - alone);
      candidate.push(own - alone);
    }
    const { kernel: packets } = await scene.forwarded();
    return {
      rows: [
        context.measured({
          name: `CPU of a packet in the kernel, ${calls} calls`,
          unit: 'µs',
          against: 'in user space',
          baseline,
          candidate,
          aims: [{ of: 'ratio', most: 1 / 8 }],
          notes: { 'packets in the kernel': packets },
        }),
      ],
    };
  },
};

/** Callers that were handed over, where the relay does that. */
async function flowsOf(scene: KernelScene, proxy: RemoteProxy, calls: number): Promise<Flow[]> {
  const flows: Flow[] = [];
  for (let index = 0; index < calls; index++) {
    const call = await scene.call(proxy);
    const { target, socket } = call.caller;
    for (let packet = 0; packet < 5; packet++) {
      await call.caller.talk();
      await call.callee.talk();
    }
    flows.push({ id: socket.id, port: target?.port ?? 0, address: target?.address ?? '' });
  }
  return flows;
}

/** What arrives at the other side is not the relay's work any more. */
async function drop(scene: KernelScene): Promise<void> {
  const rules: readonly (readonly [KernelScene['relay'], string, string])[] = [
    [scene.relay, 'near', `udp dport ${dropPort} drop`],
    [scene.far, 'far', 'ip protocol udp drop'],
  ];
  for (const [host, device, rule] of rules) {
    const chain = `add chain netdev bench in { type filter hook ingress device "${device}" priority -10; }`;
    await host.exec(nft, `add table netdev bench; ${chain}; add rule netdev bench in ${rule}`);
  }
}

/** Of the sender, in whose turn the kernel forwards, and of the relay. */
async function microseconds(
  { pick }: Context,
  { near }: KernelScene,
  flows: readonly Flow[],
  { pid }: TestProcess,
): Promise<number> {
  const before = cpuSeconds(pid);
  const sender = await near.ask('flood', flows, packetsPerSecond, pick(4, 0.5));
  return ((sender.cpuSeconds + cpuSeconds(pid) - before) / sender.packets) * 1e6;
}
