import {
  type Binding as BindingMessage,
  CallState,
  type Event as EventMessage,
  EventSeverity,
  Freshness,
  type GetStatusResponse,
  type GoneRelay as GoneRelayMessage,
  Origin,
  type RelayIntent,
  RelayKind,
  type Relay as RelayMessage,
  RelayState,
  StatusLevel,
} from '../client/index.js';
import type { Binding } from '../domain/binding.js';
import { parseCall } from '../domain/call.js';
import type { RecordedEvent, RecordedType } from '../domain/recorded-event.js';
import {
  type AbsentIntent,
  type GoneRelay,
  type RegisteredRelay,
  type RelayKind as RelayKindName,
  type RelayState as RelayStateName,
  relayKey,
} from '../domain/relay.js';
import type { Problem, ReplicaStatus } from '../domain/status.js';

/** Converts from messages to the domain: what a replica tells is shown as it shows it itself. */

const kinds: Readonly<Record<number, RelayKindName>> = {
  [RelayKind.RTPENGINE]: 'rtpengine',
  [RelayKind.RTPPROXY]: 'rtpproxy',
};
const states: Readonly<Record<number, RelayStateName>> = {
  [RelayState.DRAINING]: 'draining',
  [RelayState.DISABLED]: 'disabled',
};
const levels: Readonly<Record<number, Problem['level']>> = { [StatusLevel.CRITICAL]: 'critical' };
const severities: Readonly<Record<number, RecordedEvent['severity']>> = {
  [EventSeverity.WARNING]: 'warning',
  [EventSeverity.CRITICAL]: 'critical',
};
const callStates: Readonly<Record<number, Binding['state']>> = {
  [CallState.ANSWERED]: 'answered',
  [CallState.RELEASED]: 'released',
};
export const freshnessOf = (freshness: Freshness) =>
  freshness === Freshness.STALE ? 'stale' : freshness === Freshness.PROVISIONAL ? 'provisional' : 'fresh';
export const originOf = (origin: Origin) =>
  origin === Origin.NEW ? 'new' : origin === Origin.MOVED ? 'moved' : 'existing';

const msOf = (time: Date | undefined) => time?.getTime() ?? 0;

/** @param ageMsOf how long ago the replica heard of a report, by when that was made */
export function relayOf(
  message: RelayMessage,
  ageMsOf: (reportTime: Date) => number,
  nowMs: number,
): RegisteredRelay {
  const { load, reason, actor, intentTime } = message;
  const state = states[message.state] ?? 'active';
  return {
    relay: {
      id: message.id,
      set: message.set,
      kind: kinds[message.kind] ?? 'builtin',
      instance: message.instance,
      controlUrl: message.controlUrl,
      rtpproxyUrl: message.rtpproxyUrl || undefined,
      mediaAddresses: message.mediaAddresses,
      state: state === 'draining' ? 'draining' : 'active',
      weight: message.weight,
      capacity: message.capacity,
      zone: message.zone,
      labels: message.labels,
      features: message.features,
      version: message.version,
      startedAtMs: msOf(message.startTime),
    },
    revision: 0,
    intent: intentTime && { state, reason, actor, atMs: msOf(intentTime) },
    load: load && {
      calls: load.calls,
      cpu: load.cpu,
      packetRate: load.packetRate,
      kernelPacketRate: load.kernelPacketRate,
      pingMs: load.pingMs,
      atMs: msOf(load.reportTime),
    },
    loadHeardAtMs: load?.reportTime && nowMs - ageMsOf(load.reportTime),
  };
}

export function goneRelayOf({ relay, time, reason }: GoneRelayMessage): GoneRelay[] {
  return relay ? [{ ...relayOf(relay, () => 0, 0), atMs: msOf(time), reason }] : [];
}

export function absentOf({
  set,
  relayId: id,
  state,
  weight,
  reason,
  actor,
  time,
}: RelayIntent): AbsentIntent {
  return { set, id, intent: { state: states[state] ?? 'active', weight, reason, actor, atMs: msOf(time) } };
}

export function statusOf(message: GetStatusResponse): ReplicaStatus {
  const { etcd, relayRates, relayBindings, newPerSecond, p99Ms } = message;
  return {
    atMs: msOf(message.time),
    name: message.name,
    version: message.version,
    level: message.level === StatusLevel.OK ? 'ok' : (levels[message.level] ?? 'warning'),
    summary: message.summary,
    advice: message.advice || undefined,
    problems: message.problems.map(({ level, text, advice }) => ({
      level: levels[level] ?? 'warning',
      text,
      advice,
    })),
    relays: message.relays,
    calls: Number(message.calls),
    traffic: {
      newPerSecond,
      newByRelay: new Map(relayRates.map((rate) => [relayKey(rate.set, rate.relayId), rate.newPerSecond])),
      p99Ms,
    },
    bindings: new Map(relayBindings.map((each) => [relayKey(each.set, each.relayId), Number(each.bindings)])),
    etcd: {
      answers: etcd?.answers ?? false,
      reason: etcd?.reason || undefined,
      lostForSeconds: etcd?.lostSeconds || undefined,
      updates: etcd?.updates ?? false,
    },
    replicas: message.replicas.map(({ name, self, differingSettings }) => ({
      name,
      isOwn: self,
      differing: differingSettings,
    })),
  };
}

/** Without its place in a history. A type that this version does not know is kept as it came. */
export function eventOf(message: EventMessage): Omit<RecordedEvent, 'sequence'> {
  const { time, type, severity, text, set, relayId, instance, calls, reason, actor } = message;
  return {
    atMs: msOf(time),
    type: type as RecordedType,
    severity: severities[severity] ?? 'info',
    text,
    set: set || undefined,
    relay: relayId || undefined,
    instance: instance || undefined,
    calls: Number(calls) || undefined,
    reason: reason || undefined,
    by: actor || undefined,
  };
}

export function bindingOf(message: BindingMessage): Binding {
  const { callId, viaBranch, relay } = message;
  const createdAtMs = msOf(message.createTime);
  const expiresAtMs = msOf(message.expireTime);
  return {
    call: parseCall(callId, viaBranch, relay?.set),
    relayId: relay?.id ?? '',
    instance: relay?.instance ?? '',
    generation: Number(message.generation),
    requestId: message.beginning,
    beginning: message.beginning,
    state: callStates[message.state] ?? 'setup',
    createdAtMs,
    ttlSeconds: 0,
    expiresAtMs,
    moves: message.moves.map(({ time, fromRelayId: from, reason, actor: by }) => ({
      atMs: msOf(time),
      from,
      reason,
      by,
    })),
    notices: [],
  };
}
