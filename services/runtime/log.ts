import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { type Logger, pino } from 'pino';

export type { Logger };

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** What may wait for a reader of the log who is slow, characters; what comes beyond is lost. */
const maxWaiting = 8 * 1024 * 1024;
/** How long a process that ends waits for such a reader. */
const patienceMs = 1000;

export interface ProcessLog {
  readonly log: Logger;
  /** Resolves when the last line is written, or nobody reads. */
  close(): Promise<void>;
}

/**
 * JSON lines on standard output: one object per line, `time` in ISO 8601, errors under `err`. Whoever reads them holds
 * up nobody, by reading slowly or by having gone.
 */
export function openLog(name: string, level: LogLevel): ProcessLog {
  const destination = pino.destination({ sync: false, maxLength: maxWaiting });
  const log = pino(
    { name, level, timestamp: pino.stdTimeFunctions.isoTime, base: { pid: process.pid } },
    destination,
  );
  let lost = 0;
  destination.on('drop', () => lost++);
  destination.on('drain', () => {
    if (lost === 0) {
      return;
    }
    const lines = lost;
    lost = 0;
    log.warn({ lines }, 'lines of this log were lost: its reader was too slow');
  });
  let hasReader = true;
  destination.on('error', () => {
    hasReader = false;
  });
  const ended = once(destination, 'close').catch(() => undefined);
  return {
    log,
    async close() {
      if (hasReader) {
        destination.end();
        await Promise.race([ended, setTimeout(patienceMs, undefined, { ref: false })]);
      }
      // What is left would be written as the process exits, and would wait for its reader for ever.
      destination.destroy();
    },
  };
}

/** For code that must have a logger where nobody listens. */
export const silentLogger: Logger = pino({ level: 'silent' });
