export const relayKinds = ['rtpengine', 'rtpproxy', 'builtin'] as const;
export type RelayKind = (typeof relayKinds)[number];

export const relayStates = ['active', 'draining', 'disabled'] as const;
/** Whether a relay takes new calls. Calls bound to it stay, whatever the state. */
export type RelayState = (typeof relayStates)[number];

export const departures = ['silent', 'restarted', 'ended'] as const;
/** Why a relay node takes a registration back: the relay does not answer it, is in another life now, or has ended. */
export type Departure = (typeof departures)[number];

/** What a relay node says of a registration as it takes it back. */
export interface Parting {
  readonly departure: Departure;
  /** Of a relay that has ended: the name of a signal, or `code 1`. */
  readonly exit?: string | undefined;
}

/** A name in a certificate, or what a client says of itself. */
export const maxActorLength = 253;
export const maxWeight = 10_000;
export const defaultWeight = 100;
export const maxCapacity = 1_000_000;
export const maxLabels = 16;
export const maxMediaAddresses = 16;
export const maxFeatures = 64;

/** What a relay node says of its relay, once per registration. */
export interface Relay {
  /** Unique within the set. */
  readonly id: string;
  readonly set: string;
  readonly kind: RelayKind;
  /** Random id of this life of the media process; a restart that lost its sessions has a new one. */
  readonly instance: string;
  /** Where a SIP proxy controls it: `udp:HOST:PORT`. */
  readonly controlUrl: string;
  /** The same for proxies that control it as an rtpproxy, where it can be beside the protocol of its kind. */
  readonly rtpproxyUrl?: string | undefined;
  /** Media address by interface name. */
  readonly mediaAddresses: Readonly<Record<string, string>>;
  /** `draining` once the relay node was told to stop; what operators want stands in the intent. */
  readonly state: 'active' | 'draining';
  /** Share of new calls relative to the rest of the set, 0-10000; 0 takes none. */
  readonly weight: number;
  /** Most concurrent calls; 0 is no limit. */
  readonly capacity: number;
  /** Empty if not said. */
  readonly zone: string;
  readonly labels: Readonly<Record<string, string>>;
  /**
   * What it can do beyond plain RTP: `srtp`, `ice`, `transcode`, `record`, `play`, `ipv4`, `ipv6`, `bridge`, `ng` (whatever
   * rtpengine knows besides), `vf-20081102` (an addition to rtpproxy's protocol), …; at most 64.
   */
  readonly features: readonly string[];
  /** Version of the media process, as it reports itself. */
  readonly version: string;
  /** When the media process started, ms since 1970. */
  readonly startedAtMs: number;
}

/** What operators want of a relay. Survives the relay and every restart. */
export interface Intent {
  readonly state: RelayState;
  /** Replaces the relay's own weight; undefined leaves it. */
  readonly weight?: number | undefined;
  readonly reason: string;
  /** The name in a certificate; or what a client says of itself, and that it is unverified. */
  readonly actor: string;
  readonly atMs: number;
}

/** False for an intent that only says who has taken a relay back, and when. */
export function hasEffect({ state, weight }: Intent): boolean {
  return state !== 'active' || weight !== undefined;
}

/** An intent for a relay that is not registered. */
export interface AbsentIntent {
  readonly set: string;
  readonly id: string;
  readonly intent: Intent;
}

/** A relay's own report of how busy it is. */
export interface Load {
  /** Concurrent calls. */
  readonly calls: number;
  /** Processor use of its host, 0-1. */
  readonly cpu: number;
  /** RTP packets per second. */
  readonly packetRate: number;
  /** Of these, those that the kernel forwarded; undefined where the relay does not tell. */
  readonly kernelPacketRate?: number | undefined;
  /** How long the relay took to answer its relay node, ms. */
  readonly pingMs?: number | undefined;
  /** Of the last report, a moment before the registration is taken back; a lease that runs out says nothing. */
  readonly departure?: Departure | undefined;
  readonly exit?: string | undefined;
  /**
   * Of an etcd that was wiped or restored while the relay node ran, in the last hour: what it has up to this revision, it has
   * from before. A replica that has started since cannot tell.
   */
  readonly restoredRevision?: number | undefined;
  /** By the relay node's clock, ms since 1970. */
  readonly atMs: number;
}

/** A registered relay with all that is known of it. */
export interface RegisteredRelay {
  readonly relay: Relay;
  /** etcd's mod revision of the registration: what a transaction checks to know that it still stands. */
  readonly revision: number;
  /** The lease of the registration, decimal: an etcd that has lost its data may give the same revision again, but no lease. */
  readonly lease?: string;
  readonly intent?: Intent | undefined;
  readonly load?: Load | undefined;
  /** When the load report reached this process, by its monotonic clock, ms. */
  readonly loadHeardAtMs?: number | undefined;
}

/** A relay that is not registered any more, as it was last known. */
export interface GoneRelay extends RegisteredRelay {
  /** When its registration ended, as this replica saw it, ms since 1970. */
  readonly atMs: number;
  /** Why, as far as its last state tells. */
  readonly reason: string;
}

/** Unique name of a relay over all sets, and the tail of its etcd keys. */
export function relayKey(set: string, id: string): string {
  return `${set}/${id}`;
}

/** The stricter of what the relay node published and what operators want. */
export function effectiveState({ relay, intent }: RegisteredRelay): RelayState {
  if (intent?.state === 'disabled') {
    return 'disabled';
  }
  if (intent?.state === 'draining' || relay.state === 'draining') {
    return 'draining';
  }
  return 'active';
}

/** The operators' weight if they gave one, else the relay's own. */
export function effectiveWeight({ relay, intent }: RegisteredRelay): number {
  return intent?.weight ?? relay.weight;
}

const departureReasons: Readonly<Record<Departure, string>> = {
  silent: 'the relay does not answer its relay node',
  restarted: 'the relay was restarted',
  ended: 'the process of the relay has ended',
};

/** Why the registration of a relay has ended, as far as its last report, the registration and the intent tell. */
export function departureReason(registered: RegisteredRelay): string {
  const { state } = registered.relay;
  const { departure, exit } = registered.load ?? {};
  if (state === 'draining' && departure === undefined) {
    return 'its relay node was stopped';
  }
  const reason = departure
    ? `${departureReasons[departure]}${exit ? ` (${exit})` : ''}`
    : 'its lease ran out: its relay node or host is gone, or cannot reach etcd';
  const known = effectiveState(registered);
  return known === 'active' ? reason : `it was ${known}; ${reason}`;
}

/** It has as many calls as it takes, by its last report. */
export function isFull({
  relay: { capacity },
  load,
}: Pick<RegisteredRelay, 'load'> & { readonly relay: Pick<Relay, 'capacity'> }): boolean {
  return capacity > 0 && (load?.calls ?? 0) >= capacity;
}

/** Of a relay that was full: below this share of its capacity it has room again. One call more or less is no news. */
const roomShare = 0.95;

/** Whether the relay has become full, or has room again; undefined where neither is news. */
export function fillChange(
  { relay: { capacity }, load }: RegisteredRelay,
  wasFull: boolean,
): boolean | undefined {
  if (isFull({ relay: { capacity }, load })) {
    return wasFull ? undefined : true;
  }
  return wasFull && (capacity === 0 || (load?.calls ?? 0) < capacity * roomShare) ? false : undefined;
}

/**
 * How many relays of each set the calls of the set fill: the calls of each relay over its capacity, summed. It does not change with
 * the number of relays, and so can say how many there should be. That is why calls of a relay whose node was told to stop count
 * like others: the next ones come to those that stay. A relay that operators keep from new calls counts as full, for its place is
 * taken; one without a limit as empty.
 */
export function relaysInUse(relays: Iterable<RegisteredRelay>): Map<string, number> {
  const inUse = new Map<string, number>();
  for (const each of relays) {
    inUse.set(each.relay.set, (inUse.get(each.relay.set) ?? 0) + fillOf(each));
  }
  return inUse;
}

/** Calls over capacity of one relay. */
function fillOf(registered: RegisteredRelay): number {
  const { relay, load } = registered;
  const fill = relay.capacity > 0 ? (load?.calls ?? 0) / relay.capacity : 0;
  const isKept = effectiveState(registered) !== 'active' || effectiveWeight(registered) === 0;
  return isKept && relay.state === 'active' ? Math.max(1, fill) : fill;
}
