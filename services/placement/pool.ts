import { HoldfastError } from '../domain/error.js';
import type { RegisteredRelay } from '../domain/relay.js';
import { Candidate, type Reservation } from './candidate.js';
import type { Policy } from './policy.js';
import { Rendezvous } from './rendezvous.js';

/** What a request asks of the relay, besides its set. */
export interface RelayConstraints {
  /** Ids not to choose. */
  readonly excluded?: readonly string[] | undefined;
  /** Preferred while a relay in it is eligible. */
  readonly zone?: string | undefined;
  /** All of these must match. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Only this one. */
  readonly target?: string | undefined;
  /** Preferred while it is eligible: the relay of another call that is to meet this one. */
  readonly preferred?: string | undefined;
  /** What the relay must be able to do, as it publishes in its features. */
  readonly features?: readonly string[] | undefined;
  /** Preferred while one that publishes all of these is eligible: others are tried, and may refuse the call. */
  readonly needs?: readonly string[] | undefined;
}

/** All replicas use this policy, so they agree. */
const agreed = new Rendezvous();

/** The relays of one set, ready to choose from. Eligibility is decided here and nowhere else. */
export class Pool {
  #candidates = new Map<string, Candidate>();
  /** Not registered any more, and not believed to be gone. */
  readonly #suspects = new Map<string, Candidate>();
  /** Those that take calls, sorted by id; undefined after a change, until it is needed. */
  #open: readonly Candidate[] | undefined;
  /** Whether any of those has a capacity. */
  #isLimited = false;

  constructor(
    readonly set: string,
    readonly policy: Policy,
  ) {}

  get size(): number {
    return this.#candidates.size + this.#suspects.size;
  }

  put(registered: RegisteredRelay): void {
    const { id } = registered.relay;
    const previous = this.#candidates.get(id) ?? this.#suspects.get(id);
    // Load reports are frequent and change no eligibility but capacity, which is looked at anyway.
    if (previous?.onlyLoadDiffers(registered) && !this.#suspects.has(id)) {
      previous.report(registered);
      return;
    }
    const candidate = new Candidate(registered);
    if (previous) {
      candidate.continueFrom(previous);
    }
    this.#suspects.delete(id);
    this.#candidates.set(id, candidate);
    this.#open = undefined;
  }

  remove(id: string): void {
    this.#candidates.delete(id);
    this.#suspects.delete(id);
    this.#open = undefined;
  }

  /** It is not registered any more, and not believed to be gone: it is chosen no more, until it is put again. */
  suspect(id: string): void {
    const candidate = this.#candidates.get(id);
    if (candidate) {
      this.#candidates.delete(id);
      this.#suspects.set(id, candidate);
      this.#open = undefined;
    }
  }

  /**
   * @throws HoldfastError `relays-full` if capacity alone stands in the way, `relay-awaited` if those of the set are not registered
   * at the moment, `no-relay` otherwise; all name the set.
   */
  choose(callKey: string, constraints: RelayConstraints, nowMs: number): Reservation {
    const fitting = fittingOf(this.#openCandidates(), constraints);
    if (fitting.length === 0) {
      throw this.#noRelay(constraints);
    }
    const free =
      this.#isLimited && fitting.some((candidate) => candidate.isFull)
        ? fitting.filter((candidate) => !candidate.isFull)
        : fitting;
    if (free.length === 0) {
      throw new HoldfastError(
        'relays-full',
        `no relay is free: all ${fitting.length} eligible relays of set ${this.set} are at their capacity`,
        { metadata: { set: this.set, relays: `${fitting.length}` } },
      );
    }
    return this.policy.choose(prefer(free, constraints), callKey, nowMs).reserve();
  }

  /** @throws HoldfastError `no-relay`, naming the set. */
  predict(callKey: string, constraints: RelayConstraints): Candidate {
    const registered = fittingOf(this.#openCandidates(), constraints);
    const fitting = registered.length > 0 ? registered : fittingOf(openOf(this.#suspects), constraints);
    if (fitting.length === 0) {
      throw this.#noRelay(constraints);
    }
    return agreed.choose(fitting, callKey);
  }

  take(id: string, instance: string): Reservation | undefined {
    const candidate = this.#candidates.get(id);
    return candidate?.registered.relay.instance === instance ? candidate.reserve() : undefined;
  }

  #openCandidates(): readonly Candidate[] {
    if (this.#open) {
      return this.#open;
    }
    this.#open = openOf(this.#candidates);
    this.#isLimited = this.#open.some(({ capacity }) => capacity > 0);
    return this.#open;
  }

  #noRelay(constraints: RelayConstraints): HoldfastError {
    const awaited = fittingOf(openOf(this.#suspects), constraints);
    if (awaited.length > 0) {
      const which = awaited.length === 1 ? `relay ${awaited[0]?.id}` : `${awaited.length} relays`;
      return new HoldfastError(
        'relay-awaited',
        `${which} of set ${this.set} lost registration a moment ago; checking again first`,
        { metadata: { set: this.set } },
      );
    }
    if (this.size === 0) {
      return noRelayRegistered(this.set);
    }
    const open = this.#openCandidates().length;
    const why = constraints.target
      ? `relay ${constraints.target} is not registered in set ${this.set}, or takes no calls`
      : open === 0
        ? `set ${this.set} has ${this.#candidates.size} registered, none of which takes calls (draining, disabled, or weight 0)`
        : `set ${this.set} has ${open} that take calls, but none fits the request's exclusions, labels and features`;
    const relay = constraints.target ? { relay: constraints.target } : {};
    return new HoldfastError('no-relay', `no eligible relay: ${why}`, {
      metadata: { set: this.set, ...relay },
    });
  }
}

/** Those that take calls, sorted by id. */
function openOf(candidates: ReadonlyMap<string, Candidate>): Candidate[] {
  return [...candidates.values()]
    .filter((candidate) => candidate.takesCalls)
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** Everything but capacity and zone. The list itself, where the request asks for nothing special. */
function fittingOf(
  open: readonly Candidate[],
  { excluded, labels, target, features }: RelayConstraints,
): readonly Candidate[] {
  const wanted = Object.entries(labels ?? {});
  if (!excluded?.length && wanted.length === 0 && !target && !features?.length) {
    return open;
  }
  return open.filter(
    (candidate) =>
      (!target || candidate.id === target) &&
      !excluded?.includes(candidate.id) &&
      hasAll(candidate, features ?? []) &&
      wanted.every(([name, value]) => candidate.registered.relay.labels[name] === value),
  );
}

export function noRelayRegistered(set: string): HoldfastError {
  return new HoldfastError('no-relay', `no eligible relay: none is registered in set ${set}`, {
    metadata: { set },
  });
}

/** What the call needs counts more than the relay of another call, and that more than the zone. */
function prefer(
  candidates: readonly Candidate[],
  { needs = [], preferred, zone }: RelayConstraints,
): readonly Candidate[] {
  const able = needs.length > 0 ? candidates.filter((candidate) => hasAll(candidate, needs)) : [];
  const fitting = able.length > 0 ? able : candidates;
  const one = preferred ? fitting.filter(({ id }) => id === preferred) : [];
  if (one.length > 0 || !zone) {
    return one.length > 0 ? one : fitting;
  }
  const near = fitting.filter((candidate) => candidate.registered.relay.zone === zone);
  return near.length > 0 ? near : fitting;
}

function hasAll({ registered: { relay } }: Candidate, features: readonly string[]): boolean {
  return features.every((feature) => relay.features.includes(feature));
}
