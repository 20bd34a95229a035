import { readdir, readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { KernelScene, networks, nft, Phone, untrusted } from '../../support/kernel-scene.js';
import type { Flow } from '../../support/network-host-process.js';
import { type CallTags, newCall, relayedTo } from '../../support/ng.js';
import { OwnScope } from '../../support/own-scope.js';
import type { TestProcess } from '../../support/process.js';
import { Scrape } from '../../support/prometheus.js';
import { type Series, trendOf, trendTable } from './trend.js';

const usage = `usage: npm run soak:media [-- [--minutes M] [--calls C] [--forwarding kernel|userspace]]

  --minutes M      duration (30); at least 2
  --calls C        calls at a time (1000), of which a twelfth end and begin in each round of some seconds
  --forwarding F   kernel or userspace (kernel)

A built-in relay between two hosts, in network namespaces: it needs root, nft and ip. Memory, handles and elements of nftables must
not grow, and nothing must be left of the calls at the end: else the exit code is 1.
`;
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    calls: { type: 'string', default: '1000' },
    forwarding: { type: 'string', default: 'kernel' },
    help: { type: 'boolean', default: false },
  },
});
const [minutes, calls] = [Number(values.minutes), Number(values.calls)];
const packetsPerSecond = 2000;
const talkSeconds = 2;
/** Calls end after so many rounds. */
const lifeRounds = 12;
const mebibyte = 1024 ** 2;
/** Nothing forces a garbage collection: the heap may have waited for one, and the young generation grows when it is first needed. */
const kinds = {
  'relay resident, MiB': { unit: 'MiB', by: 'least', allowed: { share: 0.25, amount: 96 } },
  'relay heap, MiB': { unit: 'MiB', by: 'least', allowed: { share: 0.25, amount: 24 } },
  'relay buffers, MiB': { unit: 'MiB', by: 'least', allowed: { share: 0.1, amount: 8 } },
  'relay handles': { unit: '', by: 'most', allowed: { share: 0.02, amount: 8 } },
  'elements of nftables': { unit: '', by: 'most', allowed: { share: 0.02, amount: 8 } },
} as const satisfies Record<string, Omit<Series, 'name' | 'points'>>;
type Figures = Readonly<Record<keyof typeof kinds, number>>;

interface Carried {
  readonly tags: CallTags;
  readonly flows: readonly [caller: Flow, callee: Flow];
}

const scope = new OwnScope();
process.exit(await main());

async function main(): Promise<number> {
  const isForwarding = ['kernel', 'userspace'].includes(values.forwarding);
  if (values.help || !isForwarding || !(minutes >= 2) || !(calls >= lifeRounds)) {
    process.stdout.write(usage);
    return values.help ? 0 : 2;
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void scope.close().finally(() => process.exit(130)));
  }
  try {
    return await soak();
  } finally {
    await scope.close();
  }
}

async function soak(): Promise<number> {
  const scene = await KernelScene.open(scope);
  const node = await scene.startRelay({
    HOLDFAST_RELAY_FORWARDING: values.forwarding,
    HOLDFAST_RELAY_CAPACITY: `${2 * calls}`,
  });
  // What the phones hear is of no interest.
  for (const [host, device] of [
    [scene.near, 'near'],
    [scene.far, 'far'],
  ] as const) {
    const chain = `add chain netdev soak in { type filter hook ingress device "${device}" priority 0; }`;
    await host.exec(nft, `add table netdev soak; ${chain}; add rule netdev soak in ip protocol udp drop`);
  }
  const phones: (readonly [Phone, Phone])[] = [];
  for (let call = 0; call < calls; call++) {
    const { caller, callee } = networks.IPv4;
    phones.push([new Phone(await scene.near.udp(caller)), new Phone(await scene.far.udp(callee))]);
  }
  const carried: (Carried | undefined)[] = phones.map(() => undefined);
  const series = Object.entries(kinds).map(([name, kind]): Series => ({ name, ...kind, points: [] }));
  const startedAtMs = performance.now();
  const elapsedMinutes = () => (performance.now() - startedAtMs) / 60_000;
  let begun = 0;
  for (let round = 0; elapsedMinutes() < minutes; round++) {
    for (let slot = round % lifeRounds; slot < calls; slot += lifeRounds) {
      await end(scene, carried[slot]);
      carried[slot] = await begin(scene, ...(phones[slot] as readonly [Phone, Phone]));
      begun++;
    }
    await talk(scene, carried);
    if (round >= lifeRounds) {
      const figures = await figuresOf(scene, node);
      for (const each of series) {
        each.points.push({ minutes: elapsedMinutes(), value: figures[each.name as keyof Figures] });
      }
    }
  }
  const { kernel, userspace } = await scene.forwarded();
  for (const call of carried) {
    await end(scene, call);
  }
  await scene.until(async () => (await scene.proxy.list()).length === 0 && (await elements(scene)) === 0);
  const isClean = (await node.stop()).code === 0 && !(await scene.ruleset()).includes('holdfast');
  const trends = series.map(trendOf);
  process.stdout.write(`${minutes} minutes, ${calls} calls at a time, ${begun} in all; `);
  process.stdout.write(
    `${kernel} packets in the kernel, ${userspace} in user space\n\n${trendTable(trends)}\n`,
  );
  process.stdout.write(isClean ? 'nothing is left\n' : `left:\n${await scene.ruleset()}`);
  return isClean && !trends.some(({ grows }) => grows) ? 0 : 1;
}

async function begin({ proxy }: KernelScene, caller: Phone, callee: Phone): Promise<Carried> {
  const tags = newCall();
  const forCallee = relayedTo(await proxy.offer(tags, caller.sdp(1), { extra: untrusted }));
  const forCaller = relayedTo(await proxy.answer(tags, callee.sdp(1), untrusted));
  const flow = ({ socket: { id } }: Phone, { port, address }: { port: number; address: string }) => ({
    ...{ id, port, address },
  });
  return { tags, flows: [flow(caller, forCaller), flow(callee, forCallee)] };
}

async function end({ proxy }: KernelScene, call: Carried | undefined): Promise<void> {
  if (call) {
    await proxy.delete(call.tags);
  }
}

/** Both parties of all calls, at the same time. */
async function talk({ near, far }: KernelScene, carried: readonly (Carried | undefined)[]): Promise<void> {
  const flows = (party: 0 | 1) => carried.flatMap((call) => (call ? [call.flows[party]] : []));
  await Promise.all([
    near.ask('flood', flows(0), packetsPerSecond, talkSeconds),
    far.ask('flood', flows(1), packetsPerSecond, talkSeconds),
  ]);
}

async function figuresOf(scene: KernelScene, { pid }: TestProcess): Promise<Figures> {
  const metrics = new Scrape(await scene.metrics());
  const mebibytes = (name: string) => (metrics.value(name) ?? Number.NaN) / mebibyte;
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return {
    'relay resident, MiB': Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024,
    'relay heap, MiB': mebibytes('nodejs_heap_size_used_bytes'),
    'relay buffers, MiB': mebibytes('nodejs_external_memory_bytes'),
    'relay handles': (await readdir(`/proc/${pid}/fd`)).length,
    'elements of nftables': await elements(scene),
  };
}

/** Of streams: each has one of those that count. */
async function elements(scene: KernelScene): Promise<number> {
  return [...(await scene.ruleset()).matchAll(/counter packets/g)].length;
}
