/** How many tests passed and failed. */
export interface Tally {
  readonly passed: number;
  readonly failed: number;
}

/** ava's tick, which is another character on terminals without Unicode. */
const tick = /^ {2}[✔√] (?!\[expected fail\])/u;
const failures =
  /^ {2}(\d+) (?:tests? failed|hooks? failed|unhandled rejections?|uncaught exceptions?|tests? remained pending after a timeout)$/;
const successes = /^ {2}(\d+) tests? passed$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they begin with one
const colors = /\u001b\[\d+(?:;\d+)*m/g;

/**
 * Counts what ava's default reporter prints. It does not print how many tests passed when one has failed, so the ticks are
 * counted; where it does print the number, both must agree.
 * @param report all that ava wrote to standard output
 * @param exitCode ava's; one that tells of a failure that the report does not name counts as a failure
 * @throws Error if the report is not as expected, perhaps because of a new version of ava
 */
export function tallyOf(report: string, exitCode: number): Tally {
  let passed = 0;
  let reported: number | undefined;
  let failed = 0;
  for (const line of report.replaceAll(colors, '').split('\n')) {
    if (tick.test(line)) {
      passed++;
    }
    failed += Number(failures.exec(line)?.[1] ?? 0);
    const [, count] = successes.exec(line) ?? [];
    reported = count === undefined ? reported : Number(count);
  }
  if (exitCode === 0 && reported !== passed) {
    throw new Error(`ava reports ${reported ?? 'no number of'} tests passed, and ${passed} were counted`);
  }
  return { passed, failed: exitCode === 0 ? failed : Math.max(1, failed) };
}
