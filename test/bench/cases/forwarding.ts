import { KernelScene, networks, nft, Phone } from '../../support/kernel-scene.js';
import type { NetworkHost } from '../../support/network-host.js';
import type { Flow } from '../../support/network-host-process.js';
import type { Aim, BenchCase, Context, Row } from '../bench-case.js';
import { cpuSeconds } from '../stage/cpu.js';
import { builtin, type Forwarder, ipForward, rtpengine, rtpIo } from '../stage/forwarders.js';

const packetsPerSecond = 10_000;
/** Where packets are dropped as soon as they arrive: the generator alone. */
const dropPort = 9;
/** Of what is sent: on a busy machine much is late, and of calls that have ended nothing arrives. */
const leastArrived = 0.5;
const starts = [
  ipForward,
  builtin('kernel', 10_000),
  builtin('userspace', 20_000),
  rtpIo,
  rtpengine(50_000),
] as const;
/** By their places in `starts`: what is compared with what. */
const [plain, kernel, userspace, proxy, engine] = starts.keys();
const pairs: readonly (readonly [candidate: number | undefined, baseline: number | undefined, aim?: Aim])[] =
  [
    [kernel, engine, { of: 'ratio', most: 1 / 8 }],
    [kernel, plain, { of: 'ratio', most: 5 }],
    [kernel, userspace],
    [userspace, engine, { of: 'ratio', most: 1 }],
    [userspace, proxy],
  ];

/** One that has calls, and where the callers of these send. */
interface Loaded {
  readonly forwarder: Forwarder;
  readonly flows: readonly Flow[];
}

/** CPU time that a packet takes in each kind of relay, and where the kernel just routes. It needs root. */
export const forwarding: BenchCase = {
  name: 'forwarding',
  title: 'CPU time of a packet in each kind of relay, with 500 and 5,000 streams',
  async run(context) {
    const rows: Row[] = [];
    for (const streams of context.pick([500, 5000], [10])) {
      rows.push(...(await compare(context, streams)));
    }
    return { rows };
  },
};

/** @param streams half of them are those of the callers, which are measured */
async function compare(context: Context, streams: number): Promise<Row[]> {
  const scene = await KernelScene.open(context.scope);
  await drop(scene);
  // Whoever asks a relay takes none of the ports of media.
  await scene.relay.exec('sysctl', '-qw', 'net.ipv4.ip_local_port_range=60000 65000');
  const phones: (readonly [Phone, Phone])[] = [];
  for (let call = 0; call < streams / 2; call++) {
    const { caller, callee } = networks.IPv4;
    phones.push([new Phone(await scene.near.udp(caller)), new Phone(await scene.far.udp(callee))]);
  }
  const loaded: Loaded[] = [];
  for (const start of starts) {
    const forwarder = await start(scene);
    context.progress(`${forwarder.name}: ${streams} streams`);
    loaded.push({ forwarder, flows: await load(scene, forwarder, phones) });
  }
  const dropped = phones.map(([{ socket }]) => ({
    id: socket.id,
    port: dropPort,
    address: networks.IPv4.relay,
  }));
  const turns = [...loaded, { forwarder: undefined, flows: dropped }];
  const costs: number[][] = loaded.map(() => []);
  for (let round = 0; round < context.pick(7, 1); round++) {
    context.progress(`round ${round + 1}, ${streams} streams`);
    const order = [...turns.keys()];
    const measured: number[] = [];
    for (const turn of round % 2 === 0 ? order : order.reverse()) {
      measured[turn] = await microseconds(context, scene, turns[turn] as (typeof turns)[number]);
    }
    const alone = measured.pop() ?? 0;
    measured.forEach((cost, index) => void costs[index]?.push(cost - alone));
  }
  return pairs.map(([candidate = 0, baseline = 0, aim]) =>
    context.measured({
      name: `CPU of a packet, ${streams} streams: ${loaded[candidate]?.forwarder.name}`,
      unit: 'µs',
      against: loaded[baseline]?.forwarder.name ?? '',
      baseline: costs[baseline] ?? [],
      candidate: costs[candidate] ?? [],
      aims: aim ? [aim] : [],
    }),
  );
}

/** Calls between these phones, of which both have been heard, and which the kernel has where the relay hands them over. */
async function load(
  scene: KernelScene,
  forwarder: Forwarder,
  phones: readonly (readonly [Phone, Phone])[],
): Promise<readonly Flow[]> {
  const callers: Flow[] = [];
  const callees: Flow[] = [];
  for (const [caller, callee] of phones) {
    const targets = await forwarder.connect(caller, callee);
    callers.push(flowOf(caller, targets.caller));
    callees.push(flowOf(callee, targets.callee));
  }
  const talk = async (host: NetworkHost, flows: readonly Flow[]) =>
    (await host.ask('flood', flows, 2000, Math.max(0.5, flows.length / 1000))).packets;
  const deadlineMs = performance.now() + 60_000;
  for (;;) {
    const before = (await forwarder.kernelPackets?.()) ?? 0;
    const packets = (await talk(scene.near, callers)) + (await talk(scene.far, callees));
    const after = await forwarder.kernelPackets?.();
    if (after === undefined || after - before > 0.99 * packets) {
      return callers;
    }
    if (performance.now() > deadlineMs) {
      throw new Error(`${forwarder.name}: ${after - before} of ${packets} packets went through the kernel`);
    }
  }
}

function flowOf({ socket: { id } }: Phone, { port, address }: { port: number; address: string }): Flow {
  return { id, port, address };
}

/** What arrives at a phone is not the relay's work any more. */
async function drop(scene: KernelScene): Promise<void> {
  const rules: readonly (readonly [NetworkHost, string, string])[] = [
    [scene.relay, 'near', `udp dport ${dropPort} drop`],
    [scene.near, 'near', 'ip protocol udp drop'],
    [scene.far, 'far', 'ip protocol udp counter drop'],
  ];
  for (const [host, device, rule] of rules) {
    const chain = `add chain netdev bench in { type filter hook ingress device "${device}" priority -10; }`;
    await host.exec(nft, `add table netdev bench; ${chain}; add rule netdev bench in ${rule}`);
  }
}

/** Of the sender, in whose turn the kernel forwards, and of the relay. @throws Error if too little arrives */
async function microseconds(
  { pick }: Context,
  { near, far }: KernelScene,
  { flows, forwarder }: Loaded | { readonly flows: readonly Flow[]; readonly forwarder: undefined },
): Promise<number> {
  const cpu = () => (forwarder?.pid === undefined ? 0 : cpuSeconds(forwarder.pid));
  const before = cpu();
  const arrivedBefore = await arrived(far);
  const sender = await near.ask('flood', flows, packetsPerSecond, pick(4, 0.5));
  const cost = ((sender.cpuSeconds + cpu() - before) / sender.packets) * 1e6;
  const share = ((await arrived(far)) - arrivedBefore) / sender.packets;
  if (forwarder && share < leastArrived) {
    throw new Error(`${forwarder.name}: ${(100 * share).toFixed(1)} % of the packets arrived`);
  }
  return cost;
}

/** Packets of UDP at the host of the callees. */
async function arrived(far: NetworkHost): Promise<number> {
  return Number(/counter packets (\d+)/.exec(await far.exec(nft, 'list', 'table', 'netdev', 'bench'))?.[1]);
}
