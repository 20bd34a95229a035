import {
  type EtcdFault,
  etcdFaults,
  type Fault,
  type FaultKind,
  type PartyFault,
  partyFaults,
} from './fault.js';
import { Random } from './random.js';

/** How often each kind of fault is drawn, relative to the others of its lane. */
export type FaultMix = Readonly<Partial<Record<FaultKind, number>>>;

export const everyFault: FaultMix = {
  'leader-kill': 3,
  'leader-stop': 3,
  'follower-kill': 2,
  'follower-stop': 2,
  compaction: 2,
  'etcd-down': 0.5,
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

/** All members of etcd are away for this long, once in every run, a minute if the run is long. */
export function outageMs(durationMs: number): number {
  return Math.min(60_000, Math.max(8_000, Math.round(durationMs / 12)));
}

const quietStartMs = 3_000;
const burstShare = 0.08;

/** The faults of a run: the same seed, length and mix give the same list. */
export function schedule(seed: number, durationMs: number, mix: FaultMix = everyFault): Fault[] {
  const random = new Random(seed);
  const outageAtMs = Math.round(durationMs * (0.4 + 0.2 * random.next()));
  const etcd = lane(random, durationMs, only<EtcdFault>(mix, etcdFaults), (kind) =>
    kind === 'etcd-down' ? outageMs(durationMs) : lasting(random, kind),
  );
  const parties = lane(random, durationMs, only<PartyFault>(mix, partyFaults), (kind) =>
    lasting(random, kind),
  );
  const withOutage = mix['etcd-down'] ? oneOutage(etcd, outageAtMs, durationMs) : etcd;
  const faults = [...withOutage, ...parties].sort((a, b) => a.atMs - b.atMs);
  const worst = faults.findIndex(({ kind }) => kind === 'etcd-down' || kind === 'leader-kill');
  return faults.map((fault, i) => (i === worst ? { ...fault, burst: true } : fault));
}

function only<T extends FaultKind>(mix: FaultMix, kinds: readonly T[]): Partial<Record<T, number>> {
  const entries = kinds.map((kind) => [kind, mix[kind] ?? 0] as const).filter(([, weight]) => weight > 0);
  return Object.fromEntries(entries) as Partial<Record<T, number>>;
}

/** One fault after the other, with a pause between them in which things can settle. */
function lane<T extends FaultKind>(
  random: Random,
  durationMs: number,
  weights: Partial<Record<T, number>>,
  length: (kind: T) => number,
): Fault[] {
  const faults: Fault[] = [];
  if (Object.keys(weights).length === 0) return faults;
  let atMs = quietStartMs + random.below(2_000);
  for (;;) {
    const kind = random.weighted(weights as Record<T, number>);
    const forMs = length(kind);
    if (atMs + forMs > durationMs) return faults;
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
    atMs += forMs + random.between(1_000, 6_000);
  }
}

function lasting(random: Random, kind: FaultKind): number {
  if (kind === 'compaction' || kind === 'relay-restart') return 0;
  // Beyond the 8 s after which a half-open connection is noticed.
  if (kind === 'link-freeze') return random.between(2_000, 14_000);
  return random.between(500, 8_000);
}

/** Makes room for one outage at that time, whatever else was drawn. */
function oneOutage(faults: readonly Fault[], atMs: number, durationMs: number): Fault[] {
  const forMs = outageMs(durationMs);
  if (faults.some(({ kind }) => kind === 'etcd-down')) return [...faults];
  const apart = ({ atMs: begin, forMs: length }: Fault) =>
    begin + length + 1_000 < atMs || begin > atMs + forMs + 1_000;
  const outage: Fault = {
    kind: 'etcd-down',
    atMs,
    forMs,
    target: 0,
    everyMember: true,
    directions: 'both',
    delayMs: 0,
    burst: true,
  };
  return [...faults.filter(apart), outage];
}
