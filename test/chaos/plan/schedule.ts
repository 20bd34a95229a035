import { etcdFaults, type Fault, type FaultKind, linkFaults, processFaults } from './fault.js';
import { Random } from './random.js';

/** Weight of each kind of fault within its lane. */
export type FaultMix = Readonly<Partial<Record<FaultKind, number>>>;

export const everyFault: FaultMix = {
  'leader-kill': 3,
  'leader-stop': 3,
  'follower-kill': 2,
  'follower-stop': 2,
  'leader-apart': 2,
  'follower-apart': 2,
  compaction: 2,
  'etcd-down': 1,
  'replica-kill': 2,
  'replica-stop': 2,
  'node-kill': 2,
  'node-stop': 2,
  'relay-kill': 2,
  'relay-stop': 1,
  'relay-restart': 2,
  'link-cut': 3,
  'link-freeze': 3,
  'link-delay': 2,
};

/** Duration of an outage of all etcd members: there is one in each run, or one in every ten minutes of a long run. */
export function outageMs(durationMs: number): number {
  return Math.min(60_000, Math.max(8000, Math.round(durationMs / 12)));
}

const quietStartMs = 3000;
const settleMs = 2000;
const burstShare = 0.08;

/** Time between two faults of a lane, ms. */
export interface Pause {
  readonly least: number;
  readonly most: number;
}

/** The faults of a run: the same for the same seed, duration and mix. */
export function schedule(
  seed: number,
  durationMs: number,
  mix: FaultMix = everyFault,
  pauseMs: Pause = { least: 2000, most: 9000 },
): Fault[] {
  const random = new Random(seed);
  const lanes = [etcdFaults, processFaults, linkFaults].map((kinds) =>
    lane(random, durationMs, only(mix, kinds), pauseMs),
  );
  const [etcd = [], ...others] = lanes;
  const outages = mix['etcd-down'] ? outagesOf(random, durationMs) : [];
  const apart = (fault: Fault) => outages.every((outage) => areApart(fault, outage));
  const faults = [...etcd.filter(apart), ...outages, ...others.flat()].sort((a, b) => a.atMs - b.atMs);
  const worst = faults.findIndex(({ kind }) => kind === 'etcd-down' || kind === 'leader-kill');
  return faults.map((fault, i) => (i === worst ? { ...fault, burst: true } : fault));
}

function only<T extends FaultKind>(mix: FaultMix, kinds: readonly T[]): Partial<Record<T, number>> {
  const entries = kinds
    .map((kind) => [kind, mix[kind] ?? 0] as const)
    .filter(([kind, weight]) => weight > 0 && kind !== 'etcd-down');
  return Object.fromEntries(entries) as Partial<Record<T, number>>;
}

/** Successive faults, with pauses for recovery. */
function lane<T extends FaultKind>(
  random: Random,
  durationMs: number,
  weights: Partial<Record<T, number>>,
  pauseMs: Pause,
): Fault[] {
  const faults: Fault[] = [];
  if (Object.keys(weights).length === 0) {
    return faults;
  }
  let atMs = quietStartMs + random.below(2000);
  for (;;) {
    const kind = random.weighted(weights as Record<T, number>);
    const forMs = lasting(random, kind);
    if (atMs + forMs > durationMs) {
      return faults;
    }
    faults.push({
      kind,
      atMs,
      forMs,
      target: random.below(60),
      everyMember: random.chance(0.6),
      directions: random.pick(['requests', 'answers', 'both', 'both']),
      delayMs: random.between(20, 800),
      burst: random.chance(burstShare),
    });
    atMs += forMs + random.between(pauseMs.least, pauseMs.most);
  }
}

function lasting(random: Random, kind: FaultKind): number {
  if (kind === 'compaction' || kind === 'relay-restart') {
    return 0;
  }
  // Longer than the 8 s after which a half-open connection is detected.
  if (kind === 'link-freeze') {
    return random.between(2000, 14_000);
  }
  if (kind === 'leader-apart' || kind === 'follower-apart') {
    return random.between(2000, 20_000);
  }
  return random.between(500, 8000);
}

/** One in every ten minutes, near their middle. */
function outagesOf(random: Random, durationMs: number): Fault[] {
  const count = Math.max(1, Math.floor(durationMs / 600_000));
  return Array.from({ length: count }, (_, i) => ({
    kind: 'etcd-down',
    atMs: Math.round(((i + 0.3 + 0.3 * random.next()) * durationMs) / count),
    forMs: outageMs(durationMs),
    target: 0,
    everyMember: true,
    directions: 'both',
    delayMs: 0,
    burst: true,
  }));
}

/** True if two faults of etcd do not overlap and leave time for recovery. */
function areApart(one: Fault, other: Fault): boolean {
  return one.atMs + one.forMs + settleMs < other.atMs || other.atMs + other.forMs + settleMs < one.atMs;
}
