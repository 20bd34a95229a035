import { messageOf } from '../domain/error.js';
import { Backoff } from '../runtime/backoff.js';
import type { Clock } from '../runtime/clock.js';
import { ConfigError } from '../runtime/config-error.js';
import type { Logger } from '../runtime/log.js';
import { RateLimitedWarning } from '../runtime/rate-limited-warning.js';
import type { EtcdConnection } from './connection.js';
import { EtcdTrustError } from './errors.js';

export interface WaitForEtcdDeps {
  readonly connection: EtcdConnection;
  readonly clock: Clock;
  readonly log: Logger;
}

const retryPause = { firstMs: 100, mostMs: 1000 };
const warningPeriodMs = 30_000;

/**
 * Resolves when etcd has answered for the first time, however long that takes, or when the signal aborts. A process
 * that etcd refuses from the start is configured wrongly and should end; one that is refused later should hold on.
 * @param key one that the process must be able to read
 * @throws ConfigError that says what to change, after as many refusals in a row as etcd has members
 */
export async function waitForEtcd(
  { connection, clock, log }: WaitForEtcdDeps,
  key: Buffer,
  signal: AbortSignal,
): Promise<void> {
  const backoff = new Backoff(retryPause, clock);
  const unreachable = new RateLimitedWarning('cannot reach etcd; trying again', clock, log, warningPeriodMs);
  let refusals = 0;
  while (!signal.aborted) {
    try {
      await connection.range({ key, count_only: true });
      return;
    } catch (error) {
      refusals = error instanceof EtcdTrustError ? refusals + 1 : 0;
      if (refusals >= connection.memberCount) {
        throw new ConfigError([messageOf(error)]);
      }
      unreachable.warn({ reason: messageOf(error) });
    }
    await backoff.pause(signal);
  }
}
