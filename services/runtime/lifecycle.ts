import { type Clock, systemClock } from './clock.js';
import { leaveSignals } from './first-process.js';
import type { Logger } from './log.js';

/** A part of a process that is started once and stopped once. */
export interface Component {
  /** Resolves when the component is ready. Rejects if it cannot start; what had started until then is stopped by `stop`. */
  start(): Promise<unknown>;
  /** Idempotent; also allowed before the start and during it. Resolves when everything has stopped. */
  stop(): Promise<unknown>;
  /** Stops, and leaves what it does to the process that is started next. As `stop` otherwise. */
  handOver?(): Promise<unknown>;
}

/** Tells a component that has one to hand over. */
const handOverSignal = 'SIGUSR2';

/** Exit codes of the processes, by which a supervisor decides whether to restart. */
export const exitCodes = {
  ok: 0,
  /** The process failed while running: restart it. */
  failed: 1,
  /** The configuration is wrong: restarting does not help. EX_CONFIG of sysexits.h. */
  config: 78,
} as const;

export interface RunOptions {
  readonly log: Logger;
  /** Shutdown deadline, ms; after it the process ends whatever is left. */
  readonly stopDeadlineMs: number;
  readonly clock?: Clock;
}

/**
 * Runs a component until SIGTERM or SIGINT, or SIGUSR2 if it can hand over. The first signal stops it in order; a second one, but
 * for SIGUSR2, or the deadline, ends the process at once. Resolves with the exit code.
 * @throws the error of the start, once everything that had started is stopped
 */
export async function runUntilSignal(component: Component, options: RunOptions): Promise<number> {
  const { log, stopDeadlineMs: deadlineMs } = options;
  const signaled = new Promise<string>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => resolve(signal));
    }
    leaveSignals();
    // A parent that started this process over an IPC channel and was killed can send no signal.
    process.once('disconnect', () => resolve('the parent process is gone'));
    if (component.handOver) {
      process.on(handOverSignal, () => resolve(handOverSignal));
    }
  });
  const started = component.start().then(() => undefined);
  let signal: string;
  try {
    // A signal during the start is an orderly stop.
    signal = (await Promise.race([signaled, started])) ?? (await signaled);
  } catch (error) {
    // Components that had started before the failure would keep the process alive.
    await inTime(() => component.stop(), options);
    throw error;
  }
  log.info({ signal, deadlineMs }, 'stopping');
  started.catch((error) => log.warn({ err: error }, 'the start was still under way, and failed'));
  const handsOver = signal === handOverSignal;
  const code = await inTime(() => (handsOver ? component.handOver?.() : component.stop()), options);
  log.info({ code }, 'stopped');
  return code;
}

/** Stops in order, unless a signal or the deadline comes first. Resolves with the exit code. */
async function inTime(
  stop: () => Promise<unknown> | undefined,
  { log, stopDeadlineMs, clock = systemClock }: RunOptions,
): Promise<number> {
  const stopped = async () => {
    try {
      await stop();
      return exitCodes.ok;
    } catch (error) {
      log.error({ err: error }, 'stopping failed');
      return exitCodes.failed;
    }
  };
  const forced = new Promise<number>((resolve) => {
    const force = (reason: string) => {
      log.warn({ reason }, 'stopping at once');
      resolve(exitCodes.failed);
    };
    for (const again of ['SIGTERM', 'SIGINT'] as const) {
      process.on(again, () => force(`second signal: ${again}`));
    }
    clock.after(stopDeadlineMs, () => force('the shutdown deadline has passed'));
  });
  return Promise.race([stopped(), forced]);
}
