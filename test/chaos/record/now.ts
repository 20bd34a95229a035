/** The clock of a run: ms since 1970 at the start of the process, plus monotonic time since. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}
