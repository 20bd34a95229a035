import type { Binding } from './binding.js';
import { messageOf } from './error.js';
import { departureReason, effectiveState, type RegisteredRelay, type RelayState } from './relay.js';

/** What an event tells, by its type. Texts that came from outside are bounded where they came in. */
export interface EventDetails {
  callBound: CallDetails;
  callMoved: CallDetails & { readonly from: string; readonly reason: string; readonly by: string };
  callAnswered: CallDetails;
  callReleased: CallDetails;
  /** Found on a relay, unknown to etcd. */
  callAdopted: CallDetails;
  /** Lost by etcd, and written again as this replica remembers it. */
  callReasserted: CallDetails;
  /** Two relays carry one call. */
  callOnTwoRelays: { readonly callId: string; readonly relays: readonly string[]; readonly kept: string };
  /** A relay that was promised without etcd has the call. */
  promiseKept: CallDetails;
  /** A relay was promised without etcd, and the call is on another. */
  promiseBroken: CallDetails & {
    readonly promised: string;
    readonly because: 'bound elsewhere' | 'relay is gone';
  };
  promiseDropped: { readonly callId: string; readonly reason: string };
  promisesReconciled: { readonly kept: number; readonly broken: number; readonly left: number };
  relayJoined: RelayDetails;
  /** Draining, disabled, or active again. */
  relayStateChanged: RelayDetails & {
    readonly state: RelayState;
    readonly reason: string;
    readonly by: string;
  };
  /** Not registered at the moment, which may be a mistake. */
  relaySuspect: RelayDetails;
  /** It was: it is registered again, in the same life. */
  relayBack: RelayDetails;
  /** Registered again, with another instance: the sessions that it had are lost. */
  relayRestarted: RelayDetails & { readonly before: string };
  relayWeightChanged: RelayDetails & {
    readonly weight: number;
    readonly before: number;
    readonly by: string;
  };
  /** It has as many calls as it takes. */
  relayFull: RelayDetails & { readonly calls: number; readonly capacity: number };
  relayHasRoom: RelayDetails & { readonly calls: number; readonly capacity: number };
  /** Orderly: its relay node was told to stop, or operators had taken it away. */
  relayLeft: RelayDetails & { readonly reason: string; readonly isOrderly: boolean };
  /** A front gave a call no relay. */
  callRefused: { readonly front: string; readonly cause: string };
  etcdLost: { readonly reason: string; readonly newCalls: 'provisional' | 'refused' };
  etcdBack: { readonly lostForMs: number };
  /** etcd was wiped, restored, or away for longer than its leases. */
  historyChanged: { readonly reason: string };
  bindingsReasserted: { readonly reasserted: number; readonly ended: number; readonly left: number };
  /** Another replica of this etcd has other values of these settings, by their variables. */
  settingsDiffer: { readonly replica: string; readonly settings: readonly string[] };
  /** New files are in use. */
  certificatesChanged: { readonly purpose: string; readonly validUntilMs: number | undefined };
  /** New files cannot be used; the former ones stay. */
  certificatesInvalid: { readonly purpose: string; readonly reason: string };
  /** Soon, or it has. */
  certificateExpires: {
    readonly purpose: string;
    readonly validUntilMs: number;
    readonly hasExpired: boolean;
  };
}

export interface CallDetails {
  readonly callId: string;
  readonly set: string;
  readonly relay: string;
  readonly generation: number;
  readonly ttlSeconds: number;
}

export interface RelayDetails {
  readonly set: string;
  readonly relay: string;
  readonly instance: string;
}

export type EventType = keyof EventDetails;
export type HoldfastEvent = {
  [Type in EventType]: { readonly type: Type; readonly details: EventDetails[Type] };
}[EventType];
export type EventListener = (event: HoldfastEvent) => void;

/** Everything that happens to calls, relays and etcd, told in one place. Whoever logs, counts or shows it subscribes. */
export class Events {
  readonly #listeners = new Set<EventListener>();

  /** @returns a function that ends the subscription */
  subscribe(listener: EventListener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  callBound(binding: Binding): void {
    this.#tell({ type: 'callBound', details: callDetails(binding) });
  }

  callMoved(binding: Binding): void {
    const { from = '', reason = '', by = '' } = binding.moves.at(-1) ?? {};
    this.#tell({ type: 'callMoved', details: { ...callDetails(binding), from, reason, by } });
  }

  callAnswered(binding: Binding): void {
    this.#tell({ type: 'callAnswered', details: callDetails(binding) });
  }

  callReleased(binding: Binding): void {
    this.#tell({ type: 'callReleased', details: callDetails(binding) });
  }

  callAdopted(binding: Binding): void {
    this.#tell({ type: 'callAdopted', details: callDetails(binding) });
  }

  callReasserted(binding: Binding): void {
    this.#tell({ type: 'callReasserted', details: callDetails(binding) });
  }

  callOnTwoRelays(details: EventDetails['callOnTwoRelays']): void {
    this.#tell({ type: 'callOnTwoRelays', details });
  }

  promiseKept(binding: Binding): void {
    this.#tell({ type: 'promiseKept', details: callDetails(binding) });
  }

  promiseBroken(binding: Binding, promised: string, because: EventDetails['promiseBroken']['because']): void {
    this.#tell({ type: 'promiseBroken', details: { ...callDetails(binding), promised, because } });
  }

  promiseDropped(callId: string, error: unknown): void {
    this.#tell({ type: 'promiseDropped', details: { callId, reason: messageOf(error) } });
  }

  promisesReconciled(details: EventDetails['promisesReconciled']): void {
    this.#tell({ type: 'promisesReconciled', details });
  }

  relayJoined(relay: RegisteredRelay): void {
    this.#tell({ type: 'relayJoined', details: relayDetails(relay) });
  }

  relayStateChanged(relay: RegisteredRelay, state: RelayState): void {
    const { reason = '', actor: by = '' } = relay.intent ?? {};
    this.#tell({ type: 'relayStateChanged', details: { ...relayDetails(relay), state, reason, by } });
  }

  relaySuspect(relay: RegisteredRelay): void {
    this.#tell({ type: 'relaySuspect', details: relayDetails(relay) });
  }

  relayBack(relay: RegisteredRelay): void {
    this.#tell({ type: 'relayBack', details: relayDetails(relay) });
  }

  relayRestarted(relay: RegisteredRelay, before: string): void {
    this.#tell({ type: 'relayRestarted', details: { ...relayDetails(relay), before } });
  }

  relayWeightChanged(relay: RegisteredRelay, weight: number, before: number): void {
    const { actor: by = '' } = relay.intent ?? {};
    this.#tell({ type: 'relayWeightChanged', details: { ...relayDetails(relay), weight, before, by } });
  }

  relayFull(relay: RegisteredRelay): void {
    this.#tell({ type: 'relayFull', details: { ...relayDetails(relay), ...occupancy(relay) } });
  }

  relayHasRoom(relay: RegisteredRelay): void {
    this.#tell({ type: 'relayHasRoom', details: { ...relayDetails(relay), ...occupancy(relay) } });
  }

  relayLeft(relay: RegisteredRelay): void {
    const isOrderly = effectiveState(relay) !== 'active';
    const details = { ...relayDetails(relay), reason: departureReason(relay), isOrderly };
    this.#tell({ type: 'relayLeft', details });
  }

  callRefused(front: string, cause: string): void {
    this.#tell({ type: 'callRefused', details: { front, cause } });
  }

  etcdLost(details: EventDetails['etcdLost']): void {
    this.#tell({ type: 'etcdLost', details });
  }

  etcdBack(lostForMs: number): void {
    this.#tell({ type: 'etcdBack', details: { lostForMs: Math.round(lostForMs) } });
  }

  historyChanged(reason: string): void {
    this.#tell({ type: 'historyChanged', details: { reason } });
  }

  bindingsReasserted(details: EventDetails['bindingsReasserted']): void {
    this.#tell({ type: 'bindingsReasserted', details });
  }

  settingsDiffer(replica: string, settings: readonly string[]): void {
    this.#tell({ type: 'settingsDiffer', details: { replica, settings } });
  }

  certificatesChanged(details: EventDetails['certificatesChanged']): void {
    this.#tell({ type: 'certificatesChanged', details });
  }

  certificatesInvalid(details: EventDetails['certificatesInvalid']): void {
    this.#tell({ type: 'certificatesInvalid', details });
  }

  certificateExpires(details: EventDetails['certificateExpires']): void {
    this.#tell({ type: 'certificateExpires', details });
  }

  #tell(event: HoldfastEvent): void {
    for (const listener of this.#listeners) {
      listener(event);
    }
  }
}

function callDetails({ call, relayId, generation, ttlSeconds }: Binding): CallDetails {
  return { callId: call.callId, set: call.set, relay: relayId, generation, ttlSeconds };
}

function relayDetails({ relay }: RegisteredRelay): RelayDetails {
  return { set: relay.set, relay: relay.id, instance: relay.instance };
}

function occupancy({ relay: { capacity }, load }: RegisteredRelay) {
  return { calls: load?.calls ?? 0, capacity };
}
