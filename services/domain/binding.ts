import type { Call } from './call.js';

export const minTtlSeconds = 10;
export const maxTtlSeconds = 86_400;
/** Far more moves than a call can make, and small enough for any arithmetic. */
export const maxGeneration = 1_000_000_000;
/** Moves that a binding remembers; older ones are forgotten. */
export const maxMoves = 8;
/** Notices that a binding keeps, and characters of each. */
export const noticeLimits = { count: 8, length: 512 };

/** What the clocks of replicas may differ by: one writes when a binding ends, another counts on it. */
export const clockSkewSeconds = 2;

/** In the order in which a call goes through them. */
export const bindingStates = ['setup', 'answered', 'released'] as const;
/**
 * How far the call is. `setup`: it was offered, and may go to another relay if this one is full, silent, dead or refuses.
 * `answered`: it is in progress, and moves only if its relay's instance is gone. `released`: it has ended; the binding
 * lingers, and use does not prolong it.
 */
export type BindingState = (typeof bindingStates)[number];

/** That a call went to another relay. */
export interface Move {
  /** Ms since 1970. */
  readonly atMs: number;
  /** Relay id that the call left; it went to that of the next move, or of the binding. */
  readonly from: string;
  readonly reason: string;
  /** Who moved it: the name of a client, or of the part of Holdfast that did. */
  readonly by: string;
}

/** One call on one relay. */
export interface Binding {
  readonly call: Call;
  readonly relayId: string;
  /** The instance of the relay's media process that holds the call; another one does not know it. */
  readonly instance: string;
  /** 1 for the first relay of the call, +1 with each move: a fencing token that never goes back. */
  readonly generation: number;
  /** The request that wrote this generation: by it a retry recognizes its own write. */
  readonly requestId: string;
  readonly state: BindingState;
  /**
   * The request that began the call. A call that begins again after its release has another one: what was put off for its
   * former end does not touch it.
   */
  readonly beginning: string;
  /** When the call was first bound, ms since 1970. */
  readonly createdAtMs: number;
  /** When it began again after its release, ms since 1970; undefined if it has not. */
  readonly begunAgainAtMs?: number | undefined;
  /** The binding outlives each use by at least this. */
  readonly ttlSeconds: number;
  /** The binding lives at least until then, ms since 1970. */
  readonly expiresAtMs: number;
  /** The last moves, oldest first, at most `maxMoves`. */
  readonly moves: readonly Move[];
  /** What SIP proxies have asked to be told should the relay be lost, in the words of the front that they have asked. */
  readonly notices: readonly string[];
}

/** A relay that a call was, or is, bound to. */
export interface Stay<Time> {
  readonly relay: string;
  /** Undefined where the move that brought the call there is not kept any more. */
  readonly since: Time | undefined;
  readonly generation: number;
  readonly reason: string;
  readonly by: string;
}

/** What tells where a call has been, with times of any form. */
export interface Stays<Time> {
  /** 0 for a binding that is not in etcd yet. */
  readonly generation: number;
  readonly createdAt: Time | undefined;
  /** Where it is now. */
  readonly relay: string;
  readonly moves: readonly (Omit<Move, 'atMs'> & { readonly at: Time | undefined })[];
}

/** The relays that a call has had, oldest first; the first ones are missing where it has moved often. */
export function staysOf<Time>({ generation, createdAt, relay, moves }: Stays<Time>): Stay<Time>[] {
  const first = Math.max(1, generation) - moves.length;
  return [...moves.map(({ from }) => from), relay].map((each, at) => {
    const move = moves[at - 1];
    const isFirst = first === 1 && at === 0;
    return {
      relay: each,
      since: isFirst ? createdAt : move?.at,
      generation: first + at,
      reason: isFirst ? 'bound' : (move?.reason ?? ''),
      by: move?.by ?? '',
    };
  });
}

/** The last notices of both, each once; none that is too long. */
export function noticesOf(known: readonly string[], asked: readonly string[] = []): readonly string[] {
  if (asked.length === 0) {
    return known;
  }
  const fitting = asked.filter((notice) => notice.length <= noticeLimits.length);
  return [...known.filter((notice) => !fitting.includes(notice)), ...new Set(fitting)].slice(
    -noticeLimits.count,
  );
}

/** Which binding was meant, where work on it was put off: another generation or beginning is another binding. */
export interface BindingVersion {
  readonly beginning: string;
  /** Without one, or 0 as long as none is in etcd: whichever the beginning has come to. */
  readonly generation?: number | undefined;
}

export function isVersionOf({ generation, beginning }: Binding, version: BindingVersion): boolean {
  return beginning === version.beginning && (!version.generation || generation === version.generation);
}

/** One is what became of the other after its release: the same binding, which has left that relay for another call. */
export function hasBegunAfter(one: Binding, other: Binding): boolean {
  const isLater = one.generation > other.generation && one.beginning !== other.beginning;
  return isLater && one.begunAgainAtMs !== undefined && one.moves.some(({ from }) => from === other.relayId);
}

/** One is a later state of the same call than the other, as far as that can be told from the two. */
export function isAhead(one: Binding, other: Binding): boolean {
  if (one.generation !== other.generation) {
    return one.generation > other.generation;
  }
  if (one.beginning === other.beginning) {
    return bindingStates.indexOf(one.state) > bindingStates.indexOf(other.state);
  }
  // What was released has begun again since. A wall clock that was wrong then must not make an end out of what goes on.
  return other.state === 'released' && one.state !== 'released' && begunAtMs(one) > begunAtMs(other);
}

function begunAtMs({ createdAtMs, begunAgainAtMs = createdAtMs }: Binding): number {
  return begunAgainAtMs;
}

/** One is the end of the call that the other has in progress: a beginning that was released does not go on. */
export function isEndOf(one: Binding, other: Binding): boolean {
  return one.state === 'released' && other.state !== 'released' && one.beginning === other.beginning;
}

/** One was answered, and the other is only being set up elsewhere: if the relay of the one carries the call, it is there. */
export function isCarriedPast(one: Binding, other: Binding): boolean {
  return one.state === 'answered' && other.state === 'setup' && one.instance !== other.instance;
}

/**
 * A lease outlives the TTL by half, and is renewed by the first use that finds less than a TTL left: so a binding
 * lives a whole TTL after its last use, yet most uses write nothing.
 */
export function leaseSeconds(ttlSeconds: number): number {
  return ttlSeconds * 1.5;
}

/**
 * How much longer the binding lives at least, s; 0 also where that cannot be told. One that seems to outlive its lease was dated
 * by a clock that was ahead of this one, and may end at any time.
 */
export function remainingSeconds({ expiresAtMs, ttlSeconds }: Binding, wallMs: number): number {
  const seconds = (expiresAtMs - wallMs) / 1000;
  return seconds > leaseSeconds(ttlSeconds) + clockSkewSeconds ? 0 : seconds;
}

/** How long ago the binding was written, s; that of its whole lease where that cannot be told. Not of one that was released. */
export function ageSeconds(binding: Binding, wallMs: number): number {
  return leaseSeconds(binding.ttlSeconds) - remainingSeconds(binding, wallMs);
}

/** A binding as etcd holds it. */
export interface StoredBinding {
  readonly binding: Binding;
  /** etcd's mod revision of the binding: what a transaction checks to know that it is still this one. */
  readonly revision: number;
}

export type Origin = 'new' | 'existing' | 'moved';
export type Freshness = 'fresh' | 'stale' | 'provisional';

/**
 * How a binding came to be what it is, seen by the request that asks. Derived from the binding alone, so that all replicas
 * answer alike and a retry hears what the first try would have.
 */
export function originOf(binding: Binding, requestId: string): Origin {
  if (binding.generation > 1) {
    return 'moved';
  }
  return binding.requestId === requestId ? 'new' : 'existing';
}
