import type { ProtocolName } from '../../../services/control/protocol.js';
import { freeUdpPort } from '../../support/ports.js';
import type { BenchCase, Context, Row } from '../bench-case.js';
import { LoadGenerator } from '../load/generator.js';
import type { ControlCommand } from '../load/job.js';
import { freshCalls } from '../stage/bindings.js';
import { startEtcd } from '../stage/etcd.js';
import { RegisteredRelays } from '../stage/relays.js';
import { startReplica } from '../stage/replica.js';

const life: readonly ControlCommand[] = ['offer', 'answer', 'delete'];
const mostBytes = 15 * 1024;

/**
 * What whole calls allocate, one command after the other, so that none shares a commit with another. Hardly depends on how busy
 * the machine is.
 */
export const allocation: BenchCase = {
  name: 'allocation',
  title: 'gateway: bytes allocated on the heap per command',
  run: async (context) => ({ rows: [await allocated(context, 'ng'), await allocated(context, 'rtpproxy')] }),
};

async function allocated(context: Context, protocol: ProtocolName): Promise<Row> {
  const { scope, pick } = context;
  const etcd = await startEtcd(scope);
  const relayPort = await freeUdpPort();
  const kind = protocol === 'ng' ? 'rtpengine' : protocol;
  await RegisteredRelays.register(scope, etcd, 3, { controlPort: relayPort, kind });
  const replica = await startReplica(scope, etcd, { gateway: protocol, measures: 'allocation' });
  const load = LoadGenerator.start(scope);
  const play = (calls: number) =>
    load.run({
      target: {
        kind: 'control',
        protocol,
        port: replica.gatewayPort,
        relayPort,
        calls: freshCalls(),
        commands: life,
      },
      loop: { kind: 'count', concurrency: 1, operations: calls * life.length },
    });
  // Code that is not compiled yet allocates more.
  await play(pick(3000, 50));
  const candidate: number[] = [];
  for (let round = 0; round < pick(5, 1); round++) {
    const before = await replica.usedBytes();
    const { calls } = await play(pick(700, 50));
    candidate.push(((await replica.usedBytes()) - before) / calls);
  }
  await scope.close();
  return context.measured({
    name: `${protocol} gateway, bytes allocated per command`,
    unit: 'bytes',
    against: '',
    baseline: [],
    candidate,
    aims: [{ of: 'candidate', most: mostBytes }],
  });
}
