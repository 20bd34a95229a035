import { rmSync } from 'node:fs';
import type { HoldfastClient } from '../../client/index.js';
import { CommandError, exits } from '../exit.js';
import { print } from '../output.js';
import type { Child } from './child.js';
import { prove } from './proof.js';
import { Report } from './report.js';
import { Stack } from './stack.js';

export interface UpOptions {
  readonly once?: true;
  readonly port: number;
  readonly etcdPort: number;
  readonly etcd?: string;
}

const relayCount = 3;
/** Each relay gets its own thousand media ports, from here on. */
const firstMediaPort = 30_000;

/** @returns whether every line of the proof holds */
export async function up({ once, ...where }: UpOptions): Promise<boolean> {
  const stack = new Stack({ etcd: undefined, ...where });
  let interrupt: (reason: Error) => void = () => {};
  const interrupted = new Promise<never>((_, reject) => {
    interrupt = reject;
  });
  interrupted.catch(() => undefined);
  let signals = 0;
  const onSignal = (signal: NodeJS.Signals) => {
    interrupt(new InterruptedError(signal));
    if (++signals === 1) {
      return;
    }
    stack.kill();
    process.exit(exits.failed);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, onSignal);
  }
  const report = new Report();
  let failed = false;
  const clients: HoldfastClient[] = [];
  try {
    const relays = await Promise.race([interrupted, startAndProve(stack, clients, report)]);
    if (!once) {
      whatNext(
        stack,
        clients.flatMap(({ targets }) => targets),
        // The proof has killed one.
        [...relays].find(([, { running }]) => running)?.[0] ?? '',
      );
      await interrupted;
    }
  } catch (error) {
    if (!(error instanceof InterruptedError)) {
      failed = true;
      throw error;
    }
    print(`\n${error.signal}: stopping everything`);
    if (once) {
      report.line(false, 'interrupted');
    }
  } finally {
    for (const client of clients) {
      client.close();
    }
    await stack.stop();
    if (stack.hasLogs && (failed || !report.held)) {
      print(`\nLogs: ${stack.logDirectory}`);
    } else {
      rmSync(stack.logDirectory, { recursive: true, force: true });
    }
  }
  return report.held;
}

class InterruptedError extends Error {
  override readonly name = 'InterruptedError';

  constructor(readonly signal: NodeJS.Signals) {
    super(signal);
  }
}

/** @returns the relays by id */
async function startAndProve(
  stack: Stack,
  clients: HoldfastClient[],
  report: Report,
): Promise<ReadonlyMap<string, Child>> {
  report.heading('Starting Holdfast on this machine');
  await stack.choosePorts();
  await stack.startEtcd();
  report.note(
    stack.isEmbedded
      ? `etcd       ${stack.etcd}  embedded: in memory, for this machine only; lost when it stops`
      : `etcd       ${stack.etcd}`,
  );
  for (const { client, child } of await Promise.all([0, 1].map((index) => stack.startReplica(index)))) {
    clients.push(client);
    report.note(`replica ${'AB'[clients.length - 1]}  ${client.targets}  pid ${child.pid}`);
  }
  const [a, b] = clients as [HoldfastClient, HoldfastClient];
  const relays = new Map<string, Child>();
  const join = (id: string) => {
    const child = stack.startRelay(id, firstMediaPort + 1000 * relays.size);
    relays.set(id, child);
    return child;
  };
  for (let i = 1; i <= relayCount; i++) {
    join(`relay-${i}`);
  }
  await untilListed(a, [...relays.keys()], relays);
  await untilListed(b, [...relays.keys()], relays);
  for (const [id, child] of relays) {
    report.note(`${id}    pid ${child.pid}`);
  }
  report.note(`logs       ${stack.logDirectory}`);
  await prove({ a, b, relays, join, report });
  report.verdict();
  return relays;
}

async function untilListed(
  client: HoldfastClient,
  ids: string[],
  relays: ReadonlyMap<string, Child>,
): Promise<void> {
  for (const deadline = Date.now() + 15_000; ; ) {
    for (const child of relays.values()) {
      if (!child.running) {
        throw new CommandError(`${child.name} ended; its last lines:\n${child.lastLines()}`);
      }
    }
    const { relays: listed } = await client.listRelays('default');
    const missing = ids.find((id) => !listed.some((relay) => relay.id === id));
    if (missing === undefined) {
      return;
    }
    if (Date.now() > deadline) {
      throw new CommandError(
        `${missing} did not register within 15 s; its last lines:\n${relays.get(missing)?.lastLines()}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function whatNext({ etcd, page }: Stack, [a = '', b = '']: string[], relay: string): void {
  print(`
Everything runs until Ctrl-C. In a browser: ${page}
In another terminal:

  npx holdfast relays --watch --server ${b}
  npx holdfast select my-call@example.org --server ${a}
  npx holdfast lookup my-call@example.org --server ${b}
  npx holdfast drain ${relay} --wait --server ${a}
  npx holdfast --help

  etcdctl --endpoints=${etcd} get --prefix /holdfast/v1/relays/
  etcdctl --endpoints=${etcd} watch --prefix /holdfast/v1/relays/

  grpcurl -plaintext ${a} list
  grpcurl -plaintext -d '{"call_id": "my-call@example.org"}' ${b} holdfast.v1.SelectionService/Select
`);
}
