import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { freeTcpPorts } from '../../support/ports.js';
import { holdfast, nodeArguments } from '../../support/stack.js';
import type { BenchCase, Row } from '../bench-case.js';
import { LoadGenerator } from '../load/generator.js';
import { inTurn } from '../rounds.js';
import { freshCalls } from '../stage/bindings.js';
import { threadsCpuMs } from '../stage/cpu.js';
import { type Etcd, startEtcd } from '../stage/etcd.js';
import { RegisteredRelays } from '../stage/relays.js';
import { selectTarget } from './speed-stage.js';

const againAfterMs = 2;
const patienceMs = 20_000;

/** How long a program took, and what it had used of processors by then. */
interface Start {
  readonly ms: number;
  readonly cpuMs: number;
}

/** From exec to the first answer of a replica, with etcd and relays running. CPU time hardly depends on how busy the machine is. */
export const coldStart: BenchCase = {
  name: 'cold-start',
  title: 'replica cold start',
  async run(context) {
    const etcd = await startEtcd(context.scope);
    await RegisteredRelays.register(context.scope, etcd, 3);
    const load = LoadGenerator.start(context.scope);
    const { baseline, candidate } = await inTurn(context, context.pick(15, 5), emptyProgram, () =>
      firstAnswer(etcd, load),
    );
    const row = (name: string, of: (start: Start) => number, aims: Row['aims']): Row => {
      const compared = { baseline: baseline.map(of), candidate: candidate.map(of) };
      return { name: `replica cold start: ${name}`, unit: 'ms', against: 'node -e 0', ...compared, aims };
    };
    return {
      rows: [
        row('exec to first Select answered', ({ ms }) => ms, [
          { of: 'ratio', most: 6 },
          { of: 'candidate', most: 500 },
        ]),
        row('CPU time until first Select answered', ({ cpuMs }) => cpuMs, [
          { of: 'ratio', most: 4 },
          { of: 'candidate', most: 250 },
        ]),
      ],
    };
  },
};

const usage = 'const { user, system } = process.cpuUsage(); console.log((user + system) / 1000)';

async function emptyProgram(): Promise<Start> {
  const startedAtMs = performance.now();
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', usage]);
  return { ms: performance.now() - startedAtMs, cpuMs: Number(stdout) };
}

/** The replica listens before it is ready, and refuses until then, so the client retries. */
async function firstAnswer(etcd: Etcd, load: LoadGenerator): Promise<Start> {
  const [grpcPort = 0] = await freeTcpPorts(1);
  const startedAtMs = performance.now();
  const replica = spawn(process.execPath, [...nodeArguments, holdfast, 'selection'], {
    stdio: 'ignore',
    env: {
      ...process.env,
      HOLDFAST_HTTP_LISTEN: '127.0.0.1:0',
      HOLDFAST_ETCD: etcd.endpoints,
      HOLDFAST_GRPC_LISTEN: `127.0.0.1:${grpcPort}`,
    },
  });
  const target = selectTarget({ grpcPort }, freshCalls(), 1);
  try {
    while (performance.now() - startedAtMs < patienceMs) {
      const answer = await load
        .attempt({ target, loop: { kind: 'count', concurrency: 1, operations: 1 } })
        .catch(() => undefined);
      if (answer?.calls === 1) {
        return { ms: performance.now() - startedAtMs, cpuMs: threadsCpuMs(replica.pid as number) };
      }
      await new Promise((resolve) => setTimeout(resolve, againAfterMs));
    }
    throw new Error(`no Select was answered within ${patienceMs} ms`);
  } finally {
    const exited = once(replica, 'exit');
    replica.kill('SIGKILL');
    await exited;
  }
}
