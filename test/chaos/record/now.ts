/** The clock of a run: ms since 1970 as they were when the process began, counted on without jumps. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}
