import { setTimeout as delay } from 'node:timers/promises';
import { freeUdpPort } from '../../support/ports.js';
import type { BenchCase } from '../bench-case.js';
import { LoadGenerator } from '../load/generator.js';
import type { Calls, ControlCommand } from '../load/job.js';
import { freshCalls } from '../stage/bindings.js';
import { type Etcd, startEtcd } from '../stage/etcd.js';
import { RegisteredRelays } from '../stage/relays.js';
import { startReplica } from '../stage/replica.js';
import { figure } from '../table.js';

/** etcd's writes for a call from its first offer to its BYE, through the gateway. */
export const callLife: BenchCase = {
  name: 'call-life',
  title: 'etcd writes in the whole life of a call',
  async run(context) {
    const { scope, pick } = context;
    const etcd = await startEtcd(scope);
    const relayPort = await freeUdpPort();
    const relays = await RegisteredRelays.register(scope, etcd, 3, { controlPort: relayPort });
    const { gatewayPort: port } = await startReplica(scope, etcd, { gateway: 'ng' });
    const load = LoadGenerator.start(scope);
    const calls: Calls & { count: number } = { ...freshCalls(), count: pick(20_000, 1000) };
    const play = (commands: readonly ControlCommand[]) =>
      load.run({
        target: { kind: 'control', protocol: 'ng', port, relayPort, calls, commands },
        loop: { kind: 'count', concurrency: 64, operations: calls.count * commands.length },
      });
    relays.pauseReports();
    const empty = await sizeBytes(etcd);
    const before = await etcd.metrics();
    await play(['offer']);
    await play(['answer']);
    await play(['reoffer', 'answer']);
    await play(['reoffer', 'answer']);
    const live = await sizeBytes(etcd);
    await play(['delete']);
    // The release follows after the reply to the proxy.
    await delay(1000);
    const after = await etcd.metrics();
    const perCall = (name: string) => ((after.get(name) ?? 0) - (before.get(name) ?? 0)) / calls.count;
    return {
      rows: [
        {
          name: 'etcd writes per call, offer to BYE',
          unit: 'writes',
          against: '',
          baseline: [],
          candidate: [perCall('etcd_debugging_mvcc_put_total')],
          aims: [{ of: 'candidate', most: 3 }],
          notes: {
            'raft entries per call': figure(perCall('etcd_server_proposals_committed_total')),
            'leases per call': figure(perCall('etcd_debugging_lease_granted_total')),
          },
        },
        {
          name: 'bytes in etcd per live call, compacted',
          unit: 'bytes',
          against: '',
          baseline: [],
          candidate: [(live - empty) / calls.count],
          aims: [],
        },
      ],
    };
  },
};

async function sizeBytes(etcd: Etcd): Promise<number> {
  await etcd.compact();
  await delay(1000);
  return (await etcd.metrics()).get('etcd_mvcc_db_total_size_in_use_in_bytes') ?? Number.NaN;
}
