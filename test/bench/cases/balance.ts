import type { Relay } from '../../../services/domain/relay.js';
import { Placement } from '../../../services/placement/placement.js';
import type { BenchCase } from '../bench-case.js';
import { relaysNamed } from '../stage/relays.js';
import { mean } from '../statistics.js';

const relayCount = 50;
const callsPerSecond = 1000;
const reportEveryMs = 1000;

interface Scene {
  readonly calls: number;
  readonly replicas: number;
  /** If false, the relays report only once. */
  readonly reporting: boolean;
  readonly weightOfFirst?: number;
}

/** How evenly calls are distributed, in simulated time: replicas place calls, relays count and report them. */
export const balance: BenchCase = {
  name: 'balance',
  title: 'balance of calls on 50 relays',
  async run({ pick }) {
    const calls = pick(100_000, 20_000);
    const rounds = Array.from({ length: pick(5, 1) });
    const row = (name: string, candidate: number[], most: number) => ({
      name,
      unit: '×' as const,
      against: '',
      baseline: [],
      candidate,
      aims: [{ of: 'candidate' as const, most }],
    });
    const fresh = (replicas: number) =>
      rounds.map(() => maxOverMean(spread({ calls, replicas, reporting: true })));
    return {
      rows: [
        row('balance, reports every second, 1 replica: max/avg', fresh(1), 1.02),
        row('balance, reports every second, 4 replicas: max/avg', fresh(4), 1.02),
        row(
          'balance, no reports, 4 replicas: max/avg',
          rounds.map(() => maxOverMean(spread({ calls, replicas: 4, reporting: false }))),
          1.25,
        ),
        {
          ...row(
            'balance, one relay of weight 2: its share by the others',
            rounds.map(() => shareOfFirst({ calls, replicas: 4, reporting: true, weightOfFirst: 200 })),
            2.04,
          ),
          aims: [{ of: 'candidate' as const, least: 1.96, most: 2.04 }],
        },
      ],
    };
  },
};

/** Calls per relay after all calls have begun; none ends. */
function spread({ calls, replicas, reporting, weightOfFirst = 100 }: Scene): number[] {
  const relays = relaysNamed(relayCount).map(
    (relay, index): Relay => (index === 0 ? { ...relay, weight: weightOfFirst } : relay),
  );
  const counts = new Map(relays.map(({ id }) => [id, 0]));
  const placements = Array.from({ length: replicas }, () => new Placement('least-loaded'));
  const report = (nowMs: number) => {
    for (const relay of relays) {
      for (const placement of placements) {
        placement.put({
          relay,
          revision: 1,
          load: { calls: counts.get(relay.id) ?? 0, cpu: 0, packetRate: 0, atMs: nowMs },
          loadHeardAtMs: nowMs,
        });
      }
    }
  };
  report(0);
  let reportedAtMs = 0;
  // Old load reports are ignored after a while; then the case without reports begins.
  const beginMs = reporting ? 0 : 60_000;
  for (let i = 0; i < calls; i++) {
    const nowMs = beginMs + (i * 1000) / callsPerSecond;
    if (reporting && nowMs - reportedAtMs >= reportEveryMs) {
      report(nowMs);
      reportedAtMs = nowMs;
    }
    const placement = placements[i % replicas] as Placement;
    const { id } = placement.choose('default', `call-${i}-${Math.random()}@pc33.example.com`, {}, nowMs);
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  return relays.map(({ id }) => counts.get(id) ?? 0);
}

function maxOverMean(counts: readonly number[]): number {
  return Math.max(...counts) / mean(counts);
}

function shareOfFirst(scene: Scene): number {
  const [first = 0, ...others] = spread(scene);
  return first / mean(others);
}
