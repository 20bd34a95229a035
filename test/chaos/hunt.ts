import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { markdownTable } from '../support/markdown.js';
import { OwnScope } from '../support/own-scope.js';
import { type Bug, moduleOf } from './bugs/bugs.js';
import type { CheckName } from './check/violation.js';
import { Session, type SessionOptions } from './session.js';
import { summary } from './summary.js';

export interface Catch {
  readonly bug: Bug;
  /** The first violated check of those that are to catch the bug; undefined if there was none. */
  readonly check: CheckName | undefined;
  /** All violated checks. */
  readonly checks: readonly CheckName[];
  /** Operations begun before that violation. */
  readonly operations: number;
  readonly seconds: number;
}

/** Runs replicas with the bug until the checker catches it or the time is over. */
export async function hunt(
  bug: Bug,
  options: Pick<SessionOptions, 'seed' | 'durationMs' | 'perSecond' | 'say'>,
  onScope: (scope: OwnScope) => void,
): Promise<Catch> {
  const directory = mkdtempSync(join(tmpdir(), `holdfast-chaos-${bug.name}-`));
  const scope = new OwnScope();
  onScope(scope);
  let isCaught = false;
  try {
    const session = new Session(scope, {
      ...options,
      durationMs: Math.min(options.durationMs, bug.durationMs ?? options.durationMs),
      directory,
      mix: bug.mix,
      pauseMs: { least: 500, most: 3000 },
      replicaModule: moduleOf(bug),
      endsAt: ({ check }) => bug.caughtBy.includes(check),
    });
    const result = await session.run();
    const { violations, evidence } = result.verdict;
    const first = violations.find(({ check }) => bug.caughtBy.includes(check));
    isCaught = first !== undefined;
    if (!first) {
      // Where most answers are provisional, etcd was too slow, and that excuses nearly everything.
      options.say(`not caught\n${summary(result)}`);
    }
    const untilMs = first?.atMs ?? Number.POSITIVE_INFINITY;
    const begun = [...evidence.calls.values()].flatMap((call) => call.operations);
    return {
      bug,
      check: first?.check,
      checks: [...new Set(violations.map(({ check }) => check))],
      operations: begun.filter(({ invokeMs }) => invokeMs <= untilMs).length,
      seconds: Math.round((Math.min(untilMs, Date.now()) - evidence.run.atMs) / 1000),
    };
  } finally {
    await scope.close();
    if (isCaught) {
      rmSync(directory, { recursive: true, force: true });
    } else {
      options.say(`records: ${directory}`);
    }
  }
}

/** The catches as a table. */
export function catchTable(catches: readonly Catch[]): string {
  const headings = ['bug', 'mistake', 'caught by', 'after operations', 'after'];
  const lines = catches.map(({ bug, check, operations, seconds }) => [
    bug.name,
    bug.title,
    check ?? 'nothing',
    check ? String(operations) : '–',
    check ? `${seconds} s` : '–',
  ]);
  return markdownTable(headings, lines);
}
