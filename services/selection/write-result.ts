import type { Binding, StoredBinding } from '../domain/binding.js';
import { HoldfastError } from '../domain/error.js';
import type { RegisteredRelay } from '../domain/relay.js';
import type { Found, RelayGuard, WriteOutcome } from '../registry/binding-store.js';
import type { SelectRequest } from './requests.js';

/** What was found, if it is a binding. */
export function bound({ binding, revision }: Found): StoredBinding | undefined {
  return binding && { binding, revision };
}

/** The same binding, as a read would find it. */
export function foundOf({ binding, revision }: StoredBinding): Found {
  return { call: binding.call, revision, binding, hasOthers: false };
}

/** What a read found, for the next step: as if a write had been refused and told it. */
export function asRefused(found: Found): WriteOutcome {
  return { written: false, found, guardsHeld: true };
}

/** It is still registered as it was seen. */
export function guardOf({ relay: { set, id }, revision, lease }: RegisteredRelay): RelayGuard {
  return { set, id, revision, lease };
}

/** One guard per relay: a relay that came back as the target is guarded by what was seen of it last. */
export function withGuard(guards: readonly RelayGuard[], target: RelayGuard): RelayGuard[] {
  return [...guards.filter(({ set, id }) => set !== target.set || id !== target.id), target];
}

/** The relay of a call is not registered at the moment, but not believed to be gone: it is waited for. */
export function relayAwaited({ call, relayId }: Pick<Binding, 'call' | 'relayId'>): HoldfastError {
  const reason = `relay ${relayId} of set ${call.set} is not registered; it is looked for again`;
  return new HoldfastError('relay-awaited', reason, { metadata: { set: call.set, relay: relayId } });
}

/** Another try may be answered. */
export function isUnavailable(error: unknown): boolean {
  return error instanceof HoldfastError && error.code === 'unavailable';
}

/** etcd is out of reach, or too much waits for it: what was known before is better than nothing. */
export function isOutage(error: unknown): boolean {
  return (
    error instanceof HoldfastError && ['unavailable', 'overloaded', 'relay-awaited'].includes(error.code)
  );
}

/** Both requests have the same candidates. */
export function asksAlike(one: SelectRequest, other: SelectRequest): boolean {
  return (
    one.call.set === other.call.set && JSON.stringify(one.constraints) === JSON.stringify(other.constraints)
  );
}
