import { type Fault, type FaultKind, lanes } from './fault.js';
import { Random } from './random.js';

/** Weight of each kind of fault within its lane; of those that hit etcd as a whole, how often they come in ten minutes. */
export type FaultMix = Readonly<Partial<Record<FaultKind, number>>>;

/** What machines and networks do. */
export const usualFaults: FaultMix = {
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
  'relay-stop': 2,
  'relay-restart': 2,
  'link-cut': 3,
  'link-freeze': 3,
  'link-delay': 2,
};

/** And what takes history, time or answers from under a process. */
export const everyFault: FaultMix = {
  ...usualFaults,
  'etcd-wipe': 1,
  'etcd-restore': 1,
  'control-loss': 2,
  'clock-step': 1,
};

/** They come at their own times, once in each run, or once in every ten minutes of a long run. */
const disasters = ['etcd-down', 'etcd-wipe', 'etcd-restore'] as const;
const disasterPeriodMs = 600_000;

/** Duration of an outage of all etcd members: longer than the TTLs of the run, where it is not very short. */
export function outageMs(durationMs: number): number {
  return Math.min(60_000, Math.round(durationMs / 5));
}

const quietStartMs = 3000;
const settleMs = 2000;
const clockStepsMs = [3000, -3000, 8000, -8000, 90_000, -90_000, 300_000, -300_000];
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
  const [etcd = [], ...others] = lanes.map((kinds) =>
    lane(random, durationMs, only<FaultKind>(mix, kinds), pauseMs),
  );
  const rare = disastersOf(random, durationMs, mix);
  const apart = (fault: Fault) => rare.every((disaster) => areApart(fault, disaster));
  const faults = [...etcd.filter(apart), ...rare, ...others.flat()].sort((a, b) => a.atMs - b.atMs);
  const worst = faults.findIndex(({ kind }) => kind === 'etcd-down' || kind === 'leader-kill');
  return faults.map((fault, i) => (i === worst ? { ...fault, burst: true } : fault));
}

function only<T extends FaultKind>(mix: FaultMix, kinds: readonly T[]): Partial<Record<T, number>> {
  const entries = kinds
    .map((kind) => [kind, mix[kind] ?? 0] as const)
    .filter(([kind, weight]) => weight > 0 && !disasters.some((disaster) => disaster === kind));
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
      stepMs: random.pick(clockStepsMs),
      ageMs: 0,
      isMarked: false,
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
  if (kind === 'clock-step' || kind === 'control-loss') {
    return random.between(2000, 12_000);
  }
  if (kind === 'leader-apart' || kind === 'follower-apart') {
    return random.between(2000, 20_000);
  }
  return random.between(500, 8000);
}

/** What hits etcd as a whole, in random order, spread over each ten minutes. */
function disastersOf(random: Random, durationMs: number, mix: FaultMix): Fault[] {
  const kinds = disasters.flatMap((kind) => Array.from({ length: mix[kind] ?? 0 }, () => kind));
  const periods = Math.max(1, Math.floor(durationMs / disasterPeriodMs));
  const slotMs = durationMs / periods / Math.max(1, kinds.length);
  return Array.from({ length: periods }, (_, period) =>
    shuffled(random, kinds).map((kind, slot): Fault => {
      const atMs = Math.round((period * kinds.length + slot + 0.15 + 0.2 * random.next()) * slotMs);
      return {
        kind,
        atMs,
        forMs: kind === 'etcd-down' ? outageMs(durationMs) : Math.round(random.between(500, 6000)),
        target: 0,
        everyMember: true,
        directions: 'both',
        delayMs: 0,
        stepMs: 0,
        ageMs: Math.min(random.between(2000, 25_000), Math.max(0, atMs - 1000)),
        isMarked: random.chance(0.5),
        burst: kind === 'etcd-down',
      };
    }),
  ).flat();
}

function shuffled<T>(random: Random, list: readonly T[]): T[] {
  const left = [...list];
  return list.map(() => left.splice(random.below(left.length), 1)[0] as T);
}

/** True if two faults of etcd do not overlap and leave time for recovery. */
function areApart(one: Fault, other: Fault): boolean {
  return one.atMs + one.forMs + settleMs < other.atMs || other.atMs + other.forMs + settleMs < one.atMs;
}
