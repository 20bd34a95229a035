import { setMaxListeners } from 'node:events';

/**
 * The source of time for all components, which tests replace by one that they advance.
 * Deadlines and ages use `monotonicMs`, which no clock adjustment can move; only times that are shown to people
 * or shared with other machines use `wallMs`.
 */
export interface Clock {
  /** Milliseconds since the host booted, the same in all processes of a host; never goes back. */
  monotonicMs(): number;
  /** Milliseconds since 1970-01-01 UTC. */
  wallMs(): number;
  /** Runs `task` once after `delayMs`; the returned function cancels it. Does not keep the process alive. */
  after(delayMs: number, task: () => void): () => void;
}

/** `performance.now()` counts from the start of the process, hrtime (CLOCK_MONOTONIC) from the boot of the host. */
const processStartMs = Number(process.hrtime.bigint()) / 1e6 - performance.now();

export const systemClock: Clock = {
  monotonicMs: () => processStartMs + performance.now(),
  wallMs: () => Date.now(),
  after: (delayMs, task) => {
    const timer = setTimeout(task, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Resolves after `delayMs`, or at once when the signal aborts. Never rejects. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) {
      return resolve();
    }
    const finish = () => {
      cancel();
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const cancel = clock.after(delayMs, finish);
    if (signal) {
      // However many sleep until the same end: Node would print a warning.
      setMaxListeners(0, signal);
      signal.addEventListener('abort', finish, { once: true });
    }
  });
}

/** What `work` comes to, or `late` if it takes longer than `delayMs`: then it goes on, and nobody waits for it. */
export function inTime<T, Late>(
  clock: Clock,
  delayMs: number,
  work: Promise<T>,
  late: Late,
): Promise<T | Late> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(Math.max(0, delayMs), () => resolve(late));
    work.then(
      (value) => {
        cancel();
        resolve(value);
      },
      (error) => {
        cancel();
        reject(error);
      },
    );
  });
}
