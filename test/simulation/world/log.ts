import type { Logger } from '../../../services/runtime/log.js';
import type { SimProcess } from '../kernel/process.js';

export interface LogLine {
  readonly atMs: number;
  readonly process: string;
  readonly level: string;
  readonly text: string;
}

const silent = ['trace', 'debug'] as const;
const levels = ['info', 'warn', 'error', 'fatal'] as const;

/** A logger that hands over lines instead of writing them. */
export function loggerOf(process: SimProcess, write: (line: LogLine) => void): Logger {
  const make = (bound: object): Logger => {
    const logger: Record<string, unknown> = { child: (more: object) => make({ ...bound, ...more }) };
    for (const level of silent) {
      logger[level] = () => {};
    }
    for (const level of levels) {
      logger[level] = (fields: unknown, message?: string) => {
        const text =
          typeof fields === 'string'
            ? fields
            : `${message ?? ''} ${inspect({ ...bound, ...(fields as object) })}`;
        write({ atMs: process.host.scheduler.nowMs, process: process.name, level, text });
      };
    }
    const isLevelEnabled = (level: string) => !silent.some((each) => each === level);
    return { ...logger, isLevelEnabled } as unknown as Logger;
  };
  return make({});
}

function inspect(fields: object): string {
  return JSON.stringify(fields, (_, value) =>
    value instanceof Error ? value.message : typeof value === 'bigint' ? String(value) : value,
  );
}
