import type { Weighted } from './grammar.js';

const stepsMs = [5, -5, 300, -300, 3 * 3600, -3 * 3600].map((seconds) => seconds * 1000);

export const clockFaults = {
  /** Somebody sets the wall clock of a host, and sets it back when the fault ends. */
  'clock-step': {
    weight: 4,
    draw: ({ replicas, relays }, random) => {
      const { host, name } = random.pick([
        ...replicas.map((replica) => ({ host: replica.host, name: replica.name })),
        ...relays.map((relay) => ({ host: relay.host, name: relay.id })),
      ]);
      const stepMs = random.pick(stepsMs);
      const step = (ms: number) => {
        host.wallOffsetMs += ms;
      };
      return {
        subject: `${name} by ${stepMs / 1000} s`,
        touches: [name],
        promised: 'fresh',
        graceMs: 5000,
        excusesMoves: false,
        begin: () => step(stepMs),
        end: () => step(-stepMs),
      };
    },
  },
} satisfies Readonly<Record<string, Weighted>>;
