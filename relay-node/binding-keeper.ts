import {
  type Binding,
  leaseSeconds,
  remainingSeconds,
  type StoredBinding,
} from '../services/domain/binding.js';
import { isVisibleAscii, maxCallIdBytes } from '../services/domain/call.js';
import type { BindingStore } from '../services/registry/binding-store.js';
import type { Clock } from '../services/runtime/clock.js';

/** Calls looked at together: as many as fill a few commits, few enough to leave the queue to others. */
const chunkSize = 200;
/** A call without a binding that could be kept is looked at again after this: it may get one. */
const lookAgainMs = 60_000;

type RelayInstance = Pick<Binding, 'set' | 'relayId' | 'instance'>;

/**
 * Keeps the bindings of calls that the relay still carries: so a binding lives as long as its media, and the TTL is
 * only the safety net for calls that nobody ends.
 */
export class BindingKeeper {
  /** When each of the relay's calls has to be looked at next, by the wall clock: until then etcd is not asked. */
  #dueMs = new Map<string, number>();

  constructor(
    private readonly store: BindingStore,
    private readonly clock: Clock,
  ) {}

  /**
   * Prolongs, for each of these calls, the binding to this relay's instance if less than a TTL of it is left.
   * Released bindings are left to end: a relay may remember a call for some time after it was deleted.
   * @returns how many were prolonged @throws HoldfastError `unavailable`, `overloaded`
   */
  async keep(callIds: readonly string[], relay: RelayInstance): Promise<number> {
    const known = callIds.filter((callId) => isVisibleAscii(callId, maxCallIdBytes));
    this.#forgetAllBut(known);
    const nowMs = this.clock.wallMs();
    const due = known.filter((callId) => (this.#dueMs.get(callId) ?? 0) <= nowMs);
    let kept = 0;
    for (let at = 0; at < due.length; at += chunkSize) {
      const chunk = due.slice(at, at + chunkSize);
      const counts = await Promise.all(chunk.map((callId) => this.#keepCall(callId, relay)));
      kept += counts.reduce((sum, count) => sum + count, 0);
    }
    return kept;
  }

  async #keepCall(callId: string, relay: RelayInstance): Promise<number> {
    let kept = 0;
    let dueMs = this.clock.wallMs() + lookAgainMs;
    for (const stored of await this.store.readAll(callId)) {
      const { binding } = stored;
      const isOurs =
        binding.set === relay.set && binding.relayId === relay.relayId && binding.instance === relay.instance;
      if (!isOurs || binding.released) {
        continue;
      }
      const standing = remainingSeconds(binding, this.clock.wallMs()) >= binding.ttlSeconds;
      const after = standing ? binding : await this.#prolong(stored);
      if (!standing && after) {
        kept++;
      }
      // Use prolongs a binding too, so that it is never due sooner than this.
      dueMs = Math.min(dueMs, after ? after.expiresAtMs - after.ttlSeconds * 1000 : 0);
    }
    this.#dueMs.set(callId, dueMs);
    return kept;
  }

  /** Undefined if somebody else wrote it meanwhile: then it was used, and so prolonged. */
  async #prolong({ binding, revision }: StoredBinding): Promise<Binding | undefined> {
    const lifetimeSeconds = leaseSeconds(binding.ttlSeconds);
    const next = { ...binding, expiresAtMs: this.clock.wallMs() + lifetimeSeconds * 1000 };
    const outcome = await this.store.write({
      binding: next,
      expected: revision,
      guards: [],
      lifetimeSeconds,
    });
    return outcome.written ? next : undefined;
  }

  #forgetAllBut(callIds: readonly string[]): void {
    const kept = new Map<string, number>();
    for (const callId of callIds) {
      const dueMs = this.#dueMs.get(callId);
      if (dueMs !== undefined) {
        kept.set(callId, dueMs);
      }
    }
    this.#dueMs = kept;
  }
}
