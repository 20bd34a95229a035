import {
  type Binding,
  type Event,
  EventSeverity,
  Freshness,
  type GoneRelay,
  Origin,
  type Relay,
  type RelayIntent,
  RelayKind,
  RelayState,
} from '../client/index.js';
import { json, print, relativeTime } from './output.js';

/** How answers are shown: a shape for programs (`--json`), and a text for people that is made from it. */

export function relayShape(relay: Relay) {
  return {
    set: relay.set,
    id: relay.id,
    kind: lower(RelayKind[relay.kind]),
    state: lower(RelayState[relay.state]),
    weight: relay.weight,
    capacity: relay.capacity,
    calls: relay.load?.calls,
    packetRate: relay.load?.packetRate,
    zone: relay.zone,
    labels: relay.labels,
    controlUrl: relay.controlUrl,
    rtpproxyUrl: relay.rtpproxyUrl || undefined,
    media: relay.mediaAddresses,
    instance: relay.instance,
    version: relay.version,
    startedAt: relay.startTime?.toISOString(),
    reason: relay.reason,
    actor: relay.actor,
    intentAt: relay.intentTime?.toISOString(),
  };
}

export function intentShape(intent: RelayIntent | undefined) {
  return {
    set: intent?.set,
    relay: intent?.relayId,
    state: lower(RelayState[intent?.state ?? RelayState.ACTIVE]),
    weight: intent?.weight,
    reason: intent?.reason || undefined,
    actor: intent?.actor || undefined,
    at: intent?.time?.toISOString(),
  };
}

export function goneShape({ relay, time, reason }: GoneRelay) {
  return { set: relay?.set, id: relay?.id, instance: relay?.instance, leftAt: time?.toISOString(), reason };
}

export function eventShape(event: Event) {
  return {
    sequence: event.sequence,
    at: event.time?.toISOString(),
    type: event.type,
    severity: lower(EventSeverity[event.severity]),
    text: event.text,
    set: event.set || undefined,
    relay: event.relayId || undefined,
    instance: event.instance || undefined,
    calls: Number(event.calls) || undefined,
    reason: event.reason || undefined,
    actor: event.actor || undefined,
  };
}

export interface Answer {
  readonly binding: Binding | undefined;
  readonly origin?: Origin;
  readonly freshness?: Freshness;
}

function bindingShape({ binding, origin, freshness }: Answer) {
  const relay = binding?.relay;
  return {
    callId: binding?.callId,
    viaBranch: binding?.viaBranch || undefined,
    relay: relay && relayShape(relay),
    generation: Number(binding?.generation ?? 0),
    origin: origin === undefined ? undefined : lower(Origin[origin]),
    freshness: freshness === undefined ? undefined : lower(Freshness[freshness]),
    createdAt: binding?.createTime?.toISOString(),
    expiresAt: binding?.expireTime?.toISOString(),
    released: binding?.released,
  };
}

export function printAnswer(answer: Answer, { json: asJson }: { readonly json?: true }): void {
  print(
    asJson
      ? json(bindingShape(answer))
      : bindingRows(answer)
          .map(([name = '', value]) => `${name.padEnd(12)}${value}`)
          .join('\n'),
  );
}

/** Pairs of a name and a value. */
function bindingRows(answer: Answer): string[][] {
  const { callId = '', viaBranch, relay, generation, origin, freshness, released } = bindingShape(answer);
  const gone = relay?.controlUrl === '' ? ' (not registered)' : '';
  const rows = [
    ['call', callId],
    ['relay', `${relay?.id}${gone}`],
    ['control', relay?.controlUrl || '-'],
    ['media', Object.values(relay?.media ?? {}).join(', ') || '-'],
    ['instance', relay?.instance ?? ''],
    ['generation', String(generation)],
    ['bound', relativeTime(answer.binding?.createTime)],
    [
      'expires',
      `${relativeTime(answer.binding?.expireTime)} at the earliest${released ? ' (released)' : ''}`,
    ],
  ];
  if (viaBranch) {
    rows.splice(1, 0, ['branch', viaBranch]);
  }
  if (origin) {
    rows.push(['origin', origin]);
  }
  if (freshness) {
    rows.push(['freshness', freshness]);
  }
  return rows;
}

export function lower(name: string | undefined): string {
  return (name ?? 'unknown').toLowerCase();
}
