import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { freeTcpPorts } from '../../support/ports.js';
import type { BenchCase } from '../bench-case.js';
import { LoadGenerator } from '../load/generator.js';
import { inTurn } from '../rounds.js';
import { freshCalls } from '../stage/bindings.js';
import { type Etcd, startEtcd } from '../stage/etcd.js';
import { RegisteredRelays } from '../stage/relays.js';
import { holdfast, nodeArguments } from '../stage/replica.js';
import { selectTarget } from './speed-stage.js';

const againAfterMs = 2;
const patienceMs = 20_000;

/** From exec to the first answer of a replica, with etcd and relays running. */
export const coldStart: BenchCase = {
  name: 'cold-start',
  title: 'replica cold start',
  async run(context) {
    const etcd = await startEtcd(context.scope);
    await RegisteredRelays.register(context.scope, etcd, 3);
    const load = LoadGenerator.start(context.scope);
    const { baseline, candidate } = await inTurn(context, context.pick(15, 2), emptyProgram, () =>
      firstAnswer(etcd, load),
    );
    return {
      rows: [
        {
          name: 'replica cold start: exec to first Select answered',
          unit: 'ms',
          against: 'node -e 0',
          baseline,
          candidate,
          aims: [
            { of: 'ratio', most: 6 },
            { of: 'candidate', most: 500 },
          ],
        },
      ],
    };
  },
};

async function emptyProgram(): Promise<number> {
  const startedAtMs = performance.now();
  await once(spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }), 'exit');
  return performance.now() - startedAtMs;
}

/** The replica listens before it is ready, and refuses until then, so the client retries. */
async function firstAnswer(etcd: Etcd, load: LoadGenerator): Promise<number> {
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
        return performance.now() - startedAtMs;
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
