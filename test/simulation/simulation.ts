import { createHash } from 'node:crypto';
import { Random } from '../chaos/plan/random.js';
import { Workload } from './callers/workload.js';
import { check } from './check/check.js';
import type { FinalState, History, Violation } from './check/history.js';
import type { FaultName } from './faults/grammar.js';
import { Schedule } from './faults/schedule.js';
import type { LogLine } from './world/log.js';
import { World, type WorldOptions } from './world/world.js';

/** When calls begin, when faults begin, when all faults and calls have ended, and how long healing may take, ms. */
const times = { calls: 1000, faults: 5000, healed: 50_000, settle: 12_000 } as const;
const callsPerSecond = 2;

export interface SimulationOptions {
  readonly seed: number;
  /** In place of all kinds of faults. */
  readonly kinds?: readonly FaultName[] | undefined;
  /** Other faults may come while etcd has lost data. */
  readonly overlaps?: boolean | undefined;
  /** When all faults have ended, in place of 50 s. */
  readonly untilMs?: number | undefined;
  /** Clients have an endpoint of another cluster among theirs. */
  readonly hasStranger?: boolean | undefined;
  readonly onLog?: ((line: LogLine) => void) | undefined;
}

export interface Result {
  readonly seed: number;
  readonly history: History;
  readonly violations: readonly Violation[];
  /** Of all that happened, in order: equal for equal runs. */
  readonly hash: string;
  readonly events: number;
  readonly simulatedMs: number;
}

const long = { setupTtlSeconds: 300, callTtlSeconds: 3600, lingerSeconds: 30 };
/** So that an outage outlasts them. */
const short = { setupTtlSeconds: 12, callTtlSeconds: 15, lingerSeconds: 10 };

/** What installation a seed has. */
function worldOf(seed: number, hasStranger: boolean): WorldOptions {
  const random = new Random(seed ^ 0x5e_ed);
  const voters = random.chance(0.15) ? 1 : 3;
  return {
    seed,
    voters,
    learner: voters === 3 && random.chance(0.4) ? random.below(4) : undefined,
    stranger: hasStranger ? random.below(voters + 1) : undefined,
    replicas: random.between(2, 3),
    relays: random.between(3, 5),
    proxies: 2,
    settings: random.chance(0.3) ? short : long,
    withoutQuorum: random.chance(0.8) ? 'available' : 'strict',
  };
}

/** Runs one seed from beginning to end, and checks what was seen. */
export async function simulate(given: SimulationOptions): Promise<Result> {
  const { seed, kinds, overlaps, hasStranger = false, untilMs: healedMs = times.healed, onLog } = given;
  const options = worldOf(seed, hasStranger);
  const world = new World(options);
  const hash = createHash('sha256');
  const log: LogLine[] = [];
  world.onLog = (line) => {
    log.push(line);
    onLog?.(line);
  };
  world.scheduler.onEvent = (atMs, process) => hash.update(`${atMs} ${process.name}\n`);
  world.rpc.onOutcome = (client, target, path, code) =>
    hash.update(`${client.name} ${target} ${path} ${code}\n`);
  const workload = new Workload(world, { callsPerSecond, untilMs: healedMs });
  const schedule = new Schedule(world, { fromMs: times.faults, untilMs: healedMs, kinds, overlaps });
  world.keepSnapshots();
  world.start();
  world.scheduler.after(times.calls, world.nature, () => workload.start());
  schedule.start();
  await world.run(healedMs);
  schedule.heal();
  await world.run(healedMs + times.settle);
  const { live } = workload;
  const final = await finalState(world, workload);
  const history: History = {
    seed,
    withoutQuorum: options.withoutQuorum,
    settings: options.settings,
    operations: workload.operations,
    faults: schedule.spans,
    lives: new Map(world.relays.map((relay) => [relay.id, relay.lives])),
    healedMs,
    settledMs: healedMs + times.settle,
    live,
    final,
    crashes: world.crashes,
    log,
  };
  for (const operation of workload.operations) {
    hash.update(JSON.stringify(operation));
  }
  return {
    seed,
    history,
    violations: check(history),
    hash: hash.digest('hex'),
    events: world.scheduler.events,
    simulatedMs: world.scheduler.nowMs,
  };
}

/** Every replica is asked for its relays, for a new call, and for all calls in progress. */
async function finalState(world: World, workload: Workload): Promise<FinalState[]> {
  const [proxy] = workload.proxies;
  const states: FinalState[] = [];
  if (!proxy) {
    throw new Error('no proxy has begun');
  }
  const alive = new Set(
    world.relays
      .flatMap(({ lives }) => lives)
      .filter(({ diedMs }) => diedMs === Number.POSITIVE_INFINITY)
      .map(({ name }) => name),
  );
  let left = world.replicas.length;
  proxy.process.enter(() => {
    for (const replica of world.replicas) {
      void (async () => {
        const listed = await proxy.listRelays(replica);
        states.push({ replica: replica.name, relays: listed?.ids, isFresh: listed?.isFresh ?? false });
        await proxy.select(replica, `last-${replica.name}@sim`, `last-${replica.name}`, false);
        for (const { callId, media } of workload.live) {
          const found = await proxy.lookup(replica, callId);
          // Without its relay it would begin anew.
          if (found.outcome === 'refused' && alive.has(media)) {
            await proxy.select(replica, callId, `last-${replica.name}-${callId}`, true);
          }
        }
        left--;
      })();
    }
  });
  await world.run(world.scheduler.nowMs + 60_000, () => left === 0);
  return states;
}
