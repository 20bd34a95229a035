import type { Logger } from './log.js';

/** Something that runs between two points in time. `start` resolves when ready; `stop` may be called twice. */
export interface Component {
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
 * @throws what the start threw, once everything that had started is stopped
 */
export async function runUntilSignal(part: Component, { log, stopDeadlineMs }: RunOptions): Promise<number> {
  const signaled = new Promise<string>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => resolve(signal));
    }
    // Whoever started this process over an IPC channel and died without a word is not there to signal.
    process.once('disconnect', () => resolve('the parent process is gone'));
  });
  const started = part.start().then(() => undefined);
  let signal: string;
  try {
    // Stopping while starting is an orderly stop.
    signal = (await Promise.race([signaled, started])) ?? (await signaled);
  } catch (error) {
    // What had started before the failure would keep the process alive for nothing.
    await stopInTime(part, { log, stopDeadlineMs });
    throw error;
  }
  log.info({ signal, deadlineMs: stopDeadlineMs }, 'stopping');
  const code = await stopInTime(part, { log, stopDeadlineMs });
  log.info({ code }, 'stopped');
  return code;
}

/** Stops the part in order, unless a signal or the deadline comes first. Resolves with the exit code. */
async function stopInTime(part: Component, { log, stopDeadlineMs }: RunOptions): Promise<number> {
  return Promise.race([
    part.stop().then(() => exitCodes.ok),
    new Promise<number>((resolve) => {
      const force = (reason: string) => {
        log.warn({ reason }, 'stopping at once');
        resolve(exitCodes.failed);
      };
      for (const again of ['SIGTERM', 'SIGINT'] as const) {
        process.on(again, () => force(`second signal: ${again}`));
      }
      setTimeout(() => force('the deadline for an orderly stop has passed'), stopDeadlineMs).unref();
    }),
  ]);
}
