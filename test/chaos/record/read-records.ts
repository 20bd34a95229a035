import { join } from 'node:path';
import { readJournal } from './journal.js';
import type { HistoryRecord, LogRecord } from './records.js';

export const historyFile = 'history.ndjson';
export const logFile = 'watch.ndjson';

export interface Records {
  readonly history: readonly HistoryRecord[];
  readonly log: readonly LogRecord[];
}

/** What a run has recorded in this directory. @param untilMs of the history, by its own time */
export async function readRecords(directory: string, untilMs = Number.POSITIVE_INFINITY): Promise<Records> {
  const history: HistoryRecord[] = [];
  for await (const record of readJournal<HistoryRecord>(join(directory, historyFile))) {
    if (record.atMs <= untilMs) {
      history.push(record);
    }
  }
  const log: LogRecord[] = [];
  for await (const record of readJournal<LogRecord>(join(directory, logFile))) {
    log.push(record);
  }
  return { history, log };
}
