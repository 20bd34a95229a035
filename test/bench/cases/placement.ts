import type { RegisteredRelay } from '../../../services/domain/relay.js';
import { Placement, type PolicyName } from '../../../services/placement/placement.js';
import type { BenchCase } from '../bench-case.js';
import { relaysNamed } from '../stage/relays.js';

export const placement: BenchCase = {
  name: 'placement',
  title: 'choice among 1,000 relays',
  async run({ pick }) {
    const rounds = pick(9, 3);
    const row = (policy: PolicyName, mostUs: number, choices: number) => ({
      name: `placement, one choice of 1,000, ${policy}`,
      unit: 'µs' as const,
      against: '',
      baseline: [],
      candidate: Array.from({ length: rounds }, () => usPerChoice(policy, 1000, choices)),
      aims: [{ of: 'candidate' as const, most: mostUs }],
    });
    return {
      rows: [row('least-loaded', 1, pick(200_000, 20_000)), row('rendezvous', 15, pick(50_000, 5000))],
    };
  },
};

/** Choices before the measurement, for V8 to compile the code. */
const warmup = 20_000;

/** The selector's choice for a new call, with eligibility and policy. */
export function usPerChoice(policy: PolicyName, relayCount: number, choices: number): number {
  const nowMs = 1000;
  const placed = new Placement(policy);
  relaysNamed(relayCount).forEach((relay, index) => {
    placed.put({ relay, revision: index + 1, load: idle, loadHeardAtMs: nowMs } satisfies RegisteredRelay);
  });
  const callIds = Array.from({ length: 4096 }, (_, i) => `a84b4c76e66710-${i}@pc33.atlanta.example.com`);
  const choose = (count: number) => {
    for (let i = 0; i < count; i++) {
      placed.choose('default', callIds[i & 4095] as string, noConstraints, nowMs);
    }
  };
  choose(warmup);
  const startedAtMs = performance.now();
  choose(choices);
  return ((performance.now() - startedAtMs) * 1000) / choices;
}

const idle = { calls: 0, cpu: 0, packetRate: 0, atMs: 0 };
/** The constraints of a request that has none. */
const noConstraints = { excluded: [], zone: '', labels: {} };
