import { type Logger, pino } from 'pino';

export type { Logger };

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** JSON lines on standard output: one object per line, `time` in ISO 8601, errors under `err`. */
export function createLogger(name: string, level: LogLevel): Logger {
  return pino({ name, level, timestamp: pino.stdTimeFunctions.isoTime, base: { pid: process.pid } });
}

/** For code that must have a logger where nobody listens. */
export const silentLogger: Logger = pino({ level: 'silent' });
