import { setTimeout as delay } from 'node:timers/promises';
import type { BenchCase, Context, Row } from '../bench-case.js';
import { LoadGenerator } from '../load/generator.js';
import type { Calls, ControlCommand, LoadResult } from '../load/job.js';
import { startActingRelay } from '../stage/acting-relay.js';
import { freshCalls } from '../stage/bindings.js';
import { type Etcd, startEtcd } from '../stage/etcd.js';
import { RegisteredRelays } from '../stage/relays.js';
import { type ReplicaOptions, startReplica } from '../stage/replica.js';
import { figure } from '../table.js';
import { selectTarget } from './speed-stage.js';

const concurrency = 16;
const writes = 'etcd_debugging_mvcc_put_total';

/** What a call costs from its first offer to its BYE: etcd's writes, and the replica's CPU time. */
export const callLife: BenchCase = {
  name: 'call-life',
  title: 'the whole life of a call: etcd writes, CPU time',
  async run(context) {
    return { rows: [...(await throughGateway(context)), await bySelect(context)] };
  },
};

/** An INVITE, its answer, two re-INVITEs and a BYE. */
async function throughGateway(context: Context): Promise<Row[]> {
  const { etcd, replica, load, calls } = await setStage(context, { gateway: 'ng' });
  const port = replica.gatewayPort;
  const play = (commands: readonly ControlCommand[]) =>
    load.run({
      target: { kind: 'control', protocol: 'ng', port, calls, commands },
      loop: { kind: 'count', concurrency, operations: calls.count * commands.length },
      watch: [replica.pid],
    });
  const empty = await sizeBytes(etcd);
  const cost = await costOf(etcd, calls);
  const setup = [await play(['offer']), await play(['answer'])];
  const uses = [await play(['reoffer', 'answer']), await play(['reoffer', 'answer'])];
  const live = await sizeBytes(etcd);
  const end = await play(['delete']);
  // The gateway has answered the proxy; it asks the relay whether the call has ended, and releases it.
  await writesEnd(etcd);
  return [
    {
      name: 'etcd writes per call, offer to BYE',
      ...(await cost([...setup, ...uses, end])),
    },
    {
      name: 'bytes in etcd per live call, compacted',
      unit: 'bytes',
      against: '',
      baseline: [],
      candidate: [(live - empty) / calls.count],
      aims: [],
    },
  ];
}

/** The same by gRPC: all after the first is in the dialog. */
async function bySelect(context: Context): Promise<Row> {
  const { etcd, replica, load, calls } = await setStage(context);
  const play = (method: 'Select' | 'Release', count: number | undefined) =>
    load.run({
      target: { ...selectTarget(replica, { ...calls, count }), method },
      loop: { kind: 'count', concurrency, operations: calls.count },
      watch: [replica.pid],
    });
  const cost = await costOf(etcd, calls);
  const setup = [await play('Select', undefined), await play('Select', calls.count)];
  const uses = [await play('Select', calls.count), await play('Select', calls.count)];
  const end = await play('Release', calls.count);
  return { name: 'etcd writes per call, Select to Release', ...(await cost([...setup, ...uses, end])) };
}

type CountedCalls = Calls & { readonly count: number };

async function setStage({ scope, pick }: Context, options: ReplicaOptions = {}) {
  const etcd = await startEtcd(scope);
  const controlPort = await startActingRelay(scope);
  const relays = await RegisteredRelays.register(scope, etcd, 3, { controlPort });
  const replica = await startReplica(scope, etcd, options);
  const calls: CountedCalls = { ...freshCalls(), count: pick(5000, 1000) };
  relays.pauseReports();
  return { etcd, replica, load: LoadGenerator.start(scope), calls };
}

/** Counts from now on. @returns for the loads that were run since: what etcd and the replica have done for each call */
async function costOf(etcd: Etcd, { count }: CountedCalls) {
  const before = await etcd.metrics();
  return async (loads: readonly LoadResult[]): Promise<Omit<Row, 'name'>> => {
    const after = await etcd.metrics();
    const perCall = (name: string) => ((after.get(name) ?? 0) - (before.get(name) ?? 0)) / count;
    const cpuUs = loads.map(({ cpuSeconds }) => ((cpuSeconds[0] ?? 0) * 1e6) / count);
    return {
      unit: 'writes',
      against: '',
      baseline: [],
      candidate: [perCall(writes)],
      aims: [{ of: 'candidate', most: 3 }],
      notes: {
        'raft entries per call': figure(perCall('etcd_server_proposals_committed_total')),
        'leases per call': figure(perCall('etcd_debugging_lease_granted_total')),
        'replica CPU per call, µs': figure(cpuUs.reduce((sum, each) => sum + each, 0)),
        'of it for each part, µs': cpuUs.map(figure).join(', '),
      },
    };
  };
}

/** Resolves when nothing has been written for a while. */
async function writesEnd(etcd: Etcd): Promise<void> {
  const written = async () => (await etcd.metrics()).get(writes) ?? 0;
  let before = await written();
  for (let quiet = 0; quiet < 4; ) {
    await delay(500);
    const now = await written();
    quiet = now > before ? 0 : quiet + 1;
    before = now;
  }
}

async function sizeBytes(etcd: Etcd): Promise<number> {
  await etcd.compact();
  await delay(1000);
  return (await etcd.metrics()).get('etcd_mvcc_db_total_size_in_use_in_bytes') ?? Number.NaN;
}
