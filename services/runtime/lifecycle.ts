import type { Logger } from './log.js';

/** Something that runs between two points in time. `start` resolves when ready; `stop` may be called twice. */
export interface Part {
  start(): Promise<unknown>;
  stop(): Promise<unknown>;
}

/** Exit codes of the processes, so that a supervisor can tell what helps. */
export const exitCodes = {
  ok: 0,
  /** It failed while running: start it again. */
  failed: 1,
  /** The configuration is wrong: starting again will not help. EX_CONFIG of sysexits.h. */
  config: 78,
} as const;

export interface RunOptions {
  readonly log: Logger;
  /** Most that an orderly stop may take, ms; then the process ends anyway. */
  readonly stopDeadlineMs: number;
}

/**
 * Runs a process until SIGTERM or SIGINT: the first signal stops it in order, a second one ends it at once, a
 * deadline bounds both. Resolves with the exit code.
 */
export async function runUntilSignal(part: Part, { log, stopDeadlineMs }: RunOptions): Promise<number> {
  const signalled = new Promise<string>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve(signal));
    // Whoever started this process over an IPC channel and died without a word is not there to signal.
    process.once('disconnect', () => resolve('the parent process is gone'));
  });
  // A failed start is told by whoever awaits this; stopping while starting is an orderly stop.
  const started = part.start().then(() => undefined);
  const first = await Promise.race([signalled, started]);
  const signal = first ?? (await signalled);
  log.info({ signal, deadlineMs: stopDeadlineMs }, 'stopping');
  const code = await Promise.race([
    part.stop().then(() => exitCodes.ok),
    new Promise<number>((resolve) => {
      const force = (reason: string) => {
        log.warn({ reason }, 'stopping at once');
        resolve(exitCodes.failed);
      };
      for (const again of ['SIGTERM', 'SIGINT'] as const)
        process.on(again, () => force(`second signal: ${again}`));
      setTimeout(() => force('the deadline for an orderly stop has passed'), stopDeadlineMs).unref();
    }),
  ]);
  log.info({ code }, 'stopped');
  return code;
}
