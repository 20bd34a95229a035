import type { Events } from '../domain/events.js';
import type { RelayChange } from '../domain/membership.js';
import {
  effectiveState,
  effectiveWeight,
  fillChange,
  type RegisteredRelay,
  relayKey,
} from '../domain/relay.js';

/** Tells events of what becomes of relays, from the changes of their directory. Most of those are load reports, and no event. */
export function relayTeller(events: Events): (change: RelayChange) => void {
  /** By `relayKey`. */
  const full = new Set<string>();
  const suspect = new Set<string>();
  const tellFill = (relay: RegisteredRelay) => {
    const key = relayKey(relay.relay.set, relay.relay.id);
    const isFull = fillChange(relay, full.has(key));
    if (isFull === true) {
      full.add(key);
      events.relayFull(relay);
    } else if (isFull === false) {
      full.delete(key);
      events.relayHasRoom(relay);
    }
  };
  return (change) => {
    const { type, relay } = change;
    if (type === 'joined') {
      events.relayJoined(relay);
      tellFill(relay);
    } else if (type === 'suspect') {
      suspect.add(relayKey(relay.relay.set, relay.relay.id));
      events.relaySuspect(relay);
    } else if (type === 'left') {
      full.delete(relayKey(relay.relay.set, relay.relay.id));
      suspect.delete(relayKey(relay.relay.set, relay.relay.id));
      events.relayLeft(relay);
    } else {
      const wasSuspect = suspect.delete(relayKey(relay.relay.set, relay.relay.id));
      if (wasSuspect && relay.relay.instance === change.before.relay.instance) {
        events.relayBack(relay);
      }
      tellChange(events, relay, change.before);
      tellFill(relay);
    }
  };
}

function tellChange(events: Events, relay: RegisteredRelay, before: RegisteredRelay): void {
  if (relay.relay.instance !== before.relay.instance) {
    events.relayRestarted(relay, before.relay.instance);
  }
  if (effectiveState(relay) !== effectiveState(before)) {
    events.relayStateChanged(relay, effectiveState(relay));
  }
  const [weight, former] = [effectiveWeight(relay), effectiveWeight(before)];
  if (weight !== former) {
    events.relayWeightChanged(relay, weight, former);
  }
}
