import { type Binding, leaseSeconds, remainingSeconds } from '../services/domain/binding.js';
import { isVisibleAscii, maxCallIdBytes } from '../services/domain/call.js';
import type { BindingStore } from '../services/registry/binding-store.js';
import type { Clock } from '../services/runtime/clock.js';

/** Calls looked at together: as many as fill a few commits, few enough to leave the queue to others. */
const chunkSize = 200;

/**
 * Keeps the bindings of calls that the relay still carries: so a binding lives as long as its media, and the TTL is
 * only the safety net for calls that nobody ends.
 */
export class BindingKeeper {
  constructor(
    private readonly store: BindingStore,
    private readonly clock: Clock,
  ) {}

  /**
   * Prolongs, for each of these calls, the binding to this relay's instance if less than a TTL of it is left.
   * Released bindings are left to end: a relay may remember a call for some time after it was deleted.
   * @returns how many were prolonged @throws HoldfastError `unavailable`, `overloaded`
   */
  async keep(
    callIds: readonly string[],
    relay: Pick<Binding, 'set' | 'relayId' | 'instance'>,
  ): Promise<number> {
    const known = callIds.filter((callId) => isVisibleAscii(callId, maxCallIdBytes));
    let kept = 0;
    for (let at = 0; at < known.length; at += chunkSize) {
      const chunk = known.slice(at, at + chunkSize);
      const counts = await Promise.all(chunk.map((callId) => this.#keepCall(callId, relay)));
      kept += counts.reduce((sum, count) => sum + count, 0);
    }
    return kept;
  }

  async #keepCall(callId: string, relay: Pick<Binding, 'set' | 'relayId' | 'instance'>): Promise<number> {
    let kept = 0;
    for (const { binding, revision } of await this.store.readAll(callId)) {
      const isOurs =
        binding.set === relay.set && binding.relayId === relay.relayId && binding.instance === relay.instance;
      const nowMs = this.clock.wallMs();
      if (!isOurs || binding.released || remainingSeconds(binding, nowMs) >= binding.ttlSeconds) continue;
      const lifetimeSeconds = leaseSeconds(binding.ttlSeconds);
      const next = { ...binding, expiresAtMs: nowMs + lifetimeSeconds * 1_000 };
      // If somebody else wrote it meanwhile, it was used, and so prolonged.
      const outcome = await this.store.write({
        binding: next,
        expected: revision,
        guards: [],
        lifetimeSeconds,
      });
      if (outcome.written) kept++;
    }
    return kept;
  }
}
