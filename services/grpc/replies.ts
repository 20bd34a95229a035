import {
  type ListBindingsResponse,
  type GoneRelay as WireGoneRelay,
  type RelayIntent as WireIntent,
  RelayKind as WireKind,
  type Relay as WireRelay,
  RelayState as WireState,
} from '../../proto/generated/holdfast/v1/relay.js';
import {
  type Binding as WireBinding,
  CallState as WireCallState,
  Freshness as WireFreshness,
  Origin as WireOrigin,
} from '../../proto/generated/holdfast/v1/selection.js';
import type { Binding, BindingState, Freshness, Origin } from '../domain/binding.js';
import {
  effectiveState,
  effectiveWeight,
  type GoneRelay,
  type Intent,
  type RegisteredRelay,
  type RelayKind,
  type RelayState,
} from '../domain/relay.js';

/** Converts from the domain to messages. */

const kinds: Record<RelayKind, WireKind> = {
  rtpengine: WireKind.RTPENGINE,
  rtpproxy: WireKind.RTPPROXY,
  builtin: WireKind.BUILTIN,
};
const states: Record<RelayState, WireState> = {
  active: WireState.ACTIVE,
  draining: WireState.DRAINING,
  disabled: WireState.DISABLED,
};
export const origins: Record<Origin, WireOrigin> = {
  new: WireOrigin.NEW,
  existing: WireOrigin.EXISTING,
  moved: WireOrigin.MOVED,
};
export const freshnesses: Record<Freshness, WireFreshness> = {
  fresh: WireFreshness.FRESH,
  stale: WireFreshness.STALE,
  provisional: WireFreshness.PROVISIONAL,
};

export const callStates: Record<BindingState, WireCallState> = {
  setup: WireCallState.SETUP,
  answered: WireCallState.ANSWERED,
  released: WireCallState.RELEASED,
};

export function bindingMessage(binding: Binding, registered: RegisteredRelay | undefined): WireBinding {
  return {
    callId: binding.call.callId,
    viaBranch: binding.call.branch,
    relay: registered ? relayIdentity(registered) : goneRelay(binding),
    generation: BigInt(binding.generation),
    createTime: new Date(binding.createdAtMs),
    expireTime: new Date(binding.expiresAtMs),
    released: binding.state === 'released',
    state: callStates[binding.state],
    moves: binding.moves.map(({ atMs, from, reason, by }) => ({
      time: new Date(atMs),
      fromRelayId: from,
      reason,
      actor: by,
    })),
    beginning: binding.beginning,
  };
}

/** What a SIP proxy needs to reach the relay, without the load, which changes every second. */
export function relayIdentity(registered: RegisteredRelay): WireRelay {
  const { relay, intent } = registered;
  return {
    id: relay.id,
    set: relay.set,
    kind: kinds[relay.kind],
    instance: relay.instance,
    controlUrl: relay.controlUrl,
    rtpproxyUrl: relay.rtpproxyUrl ?? '',
    mediaAddresses: relay.mediaAddresses,
    state: states[effectiveState(registered)],
    weight: effectiveWeight(registered),
    capacity: relay.capacity,
    zone: relay.zone,
    labels: relay.labels,
    features: [...relay.features],
    version: relay.version,
    startTime: new Date(relay.startedAtMs),
    load: undefined,
    reason: intent?.reason ?? '',
    actor: intent?.actor ?? '',
    intentTime: intent && new Date(intent.atMs),
  };
}

export function intentMessage(set: string, relayId: string, intent: Intent): WireIntent {
  const { state, weight, reason, actor, atMs } = intent;
  return { set, relayId, state: states[state], weight, reason, actor, time: new Date(atMs) };
}

export function relayMessage(registered: RegisteredRelay): WireRelay {
  const { load } = registered;
  return {
    ...relayIdentity(registered),
    load: load && {
      calls: load.calls,
      cpu: load.cpu,
      packetRate: load.packetRate,
      kernelPacketRate: load.kernelPacketRate,
      pingMs: load.pingMs,
      reportTime: new Date(load.atMs),
    },
  };
}

export function goneRelayMessage(gone: GoneRelay): WireGoneRelay {
  return { relay: relayMessage(gone), time: new Date(gone.atMs), reason: gone.reason };
}

function goneRelay({ relayId, call: { set }, instance }: Binding): WireRelay {
  return {
    id: relayId,
    set,
    kind: WireKind.UNSPECIFIED,
    instance,
    controlUrl: '',
    rtpproxyUrl: '',
    mediaAddresses: {},
    state: WireState.UNSPECIFIED,
    weight: 0,
    capacity: 0,
    zone: '',
    labels: {},
    features: [],
    version: '',
    startTime: undefined,
    load: undefined,
    reason: '',
    actor: '',
    intentTime: undefined,
  };
}

export function listedBinding(binding: Binding): ListBindingsResponse {
  const { callId, viaBranch, generation, createTime, expireTime, released } = bindingMessage(
    binding,
    undefined,
  );
  return { callId, viaBranch, instance: binding.instance, generation, createTime, expireTime, released };
}
