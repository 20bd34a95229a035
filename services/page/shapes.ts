import { staysOf } from '../domain/binding.js';
import type { RecordedEvent } from '../domain/recorded-event.js';
import {
  type AbsentIntent,
  effectiveState,
  effectiveWeight,
  type GoneRelay,
  type Intent,
  type RegisteredRelay,
  relayKey,
} from '../domain/relay.js';
import type { ReplicaStatus } from '../domain/status.js';
import type { Answer } from '../selection/requests.js';
import { holdfastCommand } from './shell.js';
import type { ShownState } from './state.js';

/** What the API answers, as JSON. Times are ISO 8601, in UTC. */

const iso = (ms: number) => new Date(ms).toISOString();

export function statusShape({ atMs, name, version, traffic, bindings: _, ...status }: ReplicaStatus) {
  const { newPerSecond, p99Ms } = traffic;
  return {
    at: iso(atMs),
    replica: { name, version },
    ...status,
    newPerSecond: rounded(newPerSecond),
    p99Ms: p99Ms && rounded(p99Ms),
  };
}

/** Three digits are enough for people. */
const rounded = (number: number) => Number(number.toPrecision(3));

export function relaysShape(state: ShownState) {
  const bindings = state.bindings();
  const { newByRelay } = state.traffic();
  const nowMs = state.clock.monotonicMs();
  return {
    at: iso(state.clock.wallMs()),
    fresh: state.isLive(),
    relays: state.relays().map((relay) => ({
      ...relayShape(relay),
      suspect: state.isSuspect(relay.relay.set, relay.relay.id),
      bindings: bindings.get(relayKey(relay.relay.set, relay.relay.id)) ?? 0,
      newPerSecond: rounded(newByRelay.get(relayKey(relay.relay.set, relay.relay.id)) ?? 0),
      reportAgeSeconds:
        relay.loadHeardAtMs === undefined ? undefined : Math.round((nowMs - relay.loadHeardAtMs) / 1000),
    })),
    gone: state.gone().map((gone: GoneRelay) => ({
      ...relayShape(gone),
      leftAt: iso(gone.atMs),
      leftBecause: gone.reason,
    })),
    absent: state
      .absent()
      .map(({ set, id, intent }: AbsentIntent) => ({ set, id, intent: intentShape(intent) })),
  };
}

function relayShape(registered: RegisteredRelay) {
  const { relay, intent, load } = registered;
  const { set, id } = relay;
  return {
    set,
    id,
    kind: relay.kind,
    state: effectiveState(registered),
    weight: effectiveWeight(registered),
    capacity: relay.capacity,
    calls: load?.calls,
    cpu: load?.cpu,
    packetRate: load?.packetRate,
    kernelPacketRate: load?.kernelPacketRate,
    pingMs: load?.pingMs,
    zone: relay.zone,
    labels: relay.labels,
    features: relay.features,
    controlUrl: relay.controlUrl,
    rtpproxyUrl: relay.rtpproxyUrl,
    media: relay.mediaAddresses,
    instance: relay.instance,
    version: relay.version,
    startedAt: iso(relay.startedAtMs),
    intent: intent && intentShape(intent),
    commands:
      effectiveState(registered) === 'active'
        ? [holdfastCommand('drain', { set }, id), holdfastCommand('bindings', { set, relay: id })]
        : [holdfastCommand('resume', { set }, id), holdfastCommand('bindings', { set, relay: id })],
  };
}

function intentShape({ state, weight, reason, actor, atMs }: Intent) {
  return { state, weight, reason, by: actor, at: iso(atMs) };
}

export function callShape({ binding, relay, freshness }: Answer) {
  const { call, relayId, instance, generation, state } = binding;
  const about = { set: call.set, ...(call.branch ? { branch: call.branch } : {}) };
  return {
    callId: call.callId,
    set: call.set,
    branch: call.branch || undefined,
    state,
    freshness,
    generation,
    relay: relayId,
    /** Undefined where the relay, in the instance that the call is bound to, is not registered. */
    registered: relay && relayShape(relay),
    instance,
    createdAt: iso(binding.createdAtMs),
    expiresAt: iso(binding.expiresAtMs),
    stays: staysOf({
      generation,
      createdAt: iso(binding.createdAtMs),
      relay: relayId,
      moves: binding.moves.map(({ atMs, ...move }) => ({ ...move, at: iso(atMs) })),
    }),
    commands: [
      holdfastCommand('history', about, call.callId),
      holdfastCommand('move', { ...about, generation: String(generation), reason: '…' }, call.callId),
    ],
  };
}

export function eventShape({ atMs, ...event }: RecordedEvent) {
  return { ...event, at: iso(atMs) };
}
