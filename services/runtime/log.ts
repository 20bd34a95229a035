import { once } from 'node:events';
import { type Logger, pino } from 'pino';
import { sleep, systemClock } from './clock.js';
import { traceFields } from './trace.js';

export type { Logger };

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** Characters that wait for a slow reader of the log; lines beyond are lost and counted. */
const maxWaiting = 8 * 1024 * 1024;
/** How long a process that ends waits for its last lines to be written. */
const closeTimeoutMs = 1000;

export interface ProcessLog {
  readonly log: Logger;
  /** Resolves when the last line is written, or cannot be. */
  close(): Promise<void>;
}

/**
 * JSON lines on standard output: one object per line, `time` in ISO 8601, errors under `err`. A reader that is slow, or
 * gone, or a full disk does not hold the process up.
 */
export function openLog(name: string, level: LogLevel): ProcessLog {
  const destination = pino.destination({ sync: false, maxLength: maxWaiting });
  const log = pino(
    {
      name,
      level,
      timestamp: pino.stdTimeFunctions.isoTime,
      base: { pid: process.pid },
      mixin: traceFields,
    },
    destination,
  );
  let lost = 0;
  let failure: string | undefined;
  destination.on('drop', () => lost++);
  destination.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    failure = code ?? message;
  });
  const reportLoss = () => {
    if (failure !== undefined) {
      const reason = failure;
      failure = undefined;
      log.warn({ reason }, 'this log could not be written for a while');
    }
    if (lost > 0) {
      const lines = lost;
      lost = 0;
      log.warn({ lines }, 'lines of this log were lost: its reader was too slow');
    }
  };
  destination.on('drain', reportLoss);
  return {
    log,
    async close() {
      // pino ignores everything after EPIPE, and would never report that it has closed.
      if (failure !== 'EPIPE') {
        reportLoss();
        const ended = once(destination, 'close').catch(() => undefined);
        destination.end();
        await Promise.race([ended, sleep(systemClock, closeTimeoutMs)]);
      }
      // What is left would be written as the process exits, and would wait for its reader forever.
      destination.destroy();
    },
  };
}

/** For code that needs a logger where no log is wanted. */
export const silentLogger: Logger = pino({ level: 'silent' });
