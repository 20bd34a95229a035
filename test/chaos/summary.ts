import type { SessionResult } from './session.js';

/** The numbers of a run and its violations, one per line. */
export function summary({ verdict, faults, counts, operations }: SessionResult): string {
  const { violations, moves, conflicts } = verdict;
  const injected = [...faults].sort(([a], [b]) => (a < b ? -1 : 1));
  const lines: [string, string | number][] = [
    ['faults', injected.reduce((sum, [, count]) => sum + count, 0)],
    ...injected.map(([kind, count]): [string, number] => [`  ${kind}`, count]),
    ['operations', operations],
    ['ambiguous', counts.unknown],
    ['stale', counts.stale],
    ['provisional', counts.provisional],
    ['conflicts', conflicts],
    ['moves', moves],
    ['violations', violations.length],
    ...countBy(violations.map(({ check }) => check)).map(([check, count]): [string, number] => [
      `  ${check}`,
      count,
    ]),
  ];
  const width = Math.max(...lines.map(([name]) => name.length));
  return lines.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n');
}

function countBy(names: readonly string[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const name of names) {
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts];
}
