import { setTimeout as delay } from 'node:timers/promises';

/**
 * Asks again until the answer is true; an error counts as "not yet". The last time is after the deadline: on a busy machine this
 * process may not have run for long.
 * @throws Error with the last reason
 */
export async function until(
  ask: () => Promise<boolean> | boolean,
  what: string,
  timeoutMs: number,
): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const isLast = performance.now() > deadlineMs;
    let reason: unknown;
    try {
      if (await ask()) {
        return;
      }
    } catch (error) {
      reason = error;
    }
    if (isLast) {
      throw new Error(`no ${what} within ${timeoutMs / 1000} s${reason ? `: ${reason}` : ''}`);
    }
    await delay(250);
  }
}
