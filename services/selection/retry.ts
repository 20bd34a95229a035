import type { StoredBinding } from '../domain/binding.js';
import { HoldfastError } from '../domain/error.js';
import type { Found, WriteOutcome } from '../registry/binding-store.js';
import type { RelayDirectory } from '../registry/relay-directory.js';
import { Backoff } from '../runtime/backoff.js';
import type { Clock } from '../runtime/clock.js';
import type { CachedBindingStore } from './cached-store.js';
import { isUnavailable } from './write-result.js';

/** Each attempt begins where the last one showed this replica to be behind. */
const maxAttempts = 6;
/** No attempt begins later than this after the request came. */
export const retryTimeoutMs = 2000;
const pauses = { firstMs: 40, mostMs: 700 };

/** Tries again what was refused because this replica was behind, or what had no answer. */
export class Retry {
  constructor(
    private readonly cachedStore: Pick<CachedBindingStore, 'lost'>,
    private readonly directory: Pick<RelayDirectory, 'refresh'>,
    private readonly clock: Clock,
  ) {}

  /**
   * Runs `attempt` until it yields something other than a refused write, each time with what the last one found. A
   * relay guard that failed means that this replica's view of the relays is behind: it is listed first.
   * @throws HoldfastError `unavailable`, at once where etcd is lost, and what `attempt` throws
   */
  async run<R extends object>(
    begin: Found | undefined,
    attempt: (found: Found | undefined) => R | Promise<R | WriteOutcome>,
  ): Promise<R | StoredBinding> {
    const startedAtMs = this.clock.monotonicMs();
    const backoff = new Backoff(pauses, this.clock);
    let found = begin;
    for (let count = 1; ; count++) {
      const isLast = () => count >= maxAttempts || this.clock.monotonicMs() - startedAtMs > retryTimeoutMs;
      if (this.cachedStore.lost) {
        throw this.cachedStore.lost;
      }
      try {
        const outcome = await attempt(found);
        if (!('written' in outcome)) {
          return outcome;
        }
        if (outcome.written) {
          return outcome.stored;
        }
        found = outcome.found;
        if (!outcome.guardsHeld) {
          await this.directory.refresh();
        }
        if (isLast()) {
          throw new HoldfastError(
            'unavailable',
            `the registry changed ${count} times while this was decided`,
          );
        }
      } catch (error) {
        if (isLast() || !isUnavailable(error)) {
          throw error;
        }
        // The outcome is unknown: what was found before proves nothing any more.
        found = undefined;
        if (!this.cachedStore.lost) {
          await backoff.pause();
        }
      }
    }
  }
}
