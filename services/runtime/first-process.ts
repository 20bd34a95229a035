import { constants } from 'node:os';

/**
 * Process 1 of a container gets no signal that it has no handler for: one that comes while the program is still loading would be
 * lost, and the container would run on for its whole grace period. So until `leaveSignals` a signal ends it, as it would any
 * other process. To be imported before everything that takes time to load.
 */
const signals = ['SIGTERM', 'SIGINT'] as const;

const end = (signal: NodeJS.Signals) => process.exit(128 + constants.signals[signal]);

if (process.pid === 1) {
  for (const signal of signals) {
    process.on(signal, end);
  }
}

/** From now on somebody else handles signals. */
export function leaveSignals(): void {
  for (const signal of signals) {
    process.off(signal, end);
  }
}
