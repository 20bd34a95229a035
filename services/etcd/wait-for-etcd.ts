import { messageOf } from '../domain/error.js';
import { type Clock, sleep } from '../runtime/clock.js';
import { ConfigError } from '../runtime/config.js';
import type { Logger } from '../runtime/log.js';
import type { EtcdConnection } from './connection.js';
import { EtcdTrustError } from './errors.js';

export interface WaitForEtcdDeps {
  readonly connection: EtcdConnection;
  readonly clock: Clock;
  readonly log: Logger;
}

const retryMs = 500;
const attemptsPerLine = 60;

/**
 * Resolves when etcd has answered for the first time, however long that takes, or when the signal aborts. A process that
 * etcd does not let in from the beginning is configured wrongly, and says so by its end; later it would rather hold on.
 * @param key one that the process must be able to read
 * @throws ConfigError saying what to change, once every member was asked
 */
export async function waitForEtcd(
  { connection, clock, log }: WaitForEtcdDeps,
  key: Buffer,
  signal: AbortSignal,
): Promise<void> {
  let refusals = 0;
  for (let failures = 0; !signal.aborted; failures++) {
    try {
      await connection.range({ key, count_only: true });
      return;
    } catch (error) {
      refusals = error instanceof EtcdTrustError ? refusals + 1 : 0;
      if (refusals >= connection.memberCount) {
        throw new ConfigError([messageOf(error)]);
      }
      if (failures % attemptsPerLine === 0) {
        log.warn({ reason: messageOf(error), failures: failures + 1 }, 'cannot hear etcd; trying again');
      }
    }
    await sleep(clock, retryMs, signal);
  }
}
