import { type SetIntentRequest, RelayState as WireState } from '../../proto/generated/holdfast/v1/relay.js';
import type {
  LookupRequest,
  MoveRequest as WireMove,
  SelectRequest as WireSelect,
} from '../../proto/generated/holdfast/v1/selection.js';
import { maxTtlSeconds, minTtlSeconds } from '../domain/binding.js';
import { type Call, isVisibleAscii, parseCall } from '../domain/call.js';
import { invalidArgument } from '../domain/error.js';
import { defaultSet, parseName, quote } from '../domain/name.js';
import { type Intent, maxLabels, maxWeight, type RelayState } from '../domain/relay.js';
import type { RelayConstraints } from '../placement/pool.js';
import { newRequestId } from '../selection/request-id.js';
import type { MoveRequest, SelectRequest } from '../selection/requests.js';

/**
 * From messages to domain requests. Every field is looked at here and nowhere else; a bad one is refused with
 * `invalid-argument`, naming the field, its value and the limit, before anything was done.
 */

const maxRequestIdBytes = 64;
const maxExcluded = 64;
const maxTextLength = 256;
const maxNameLength = 63;

export function parseSelect(request: WireSelect): SelectRequest {
  return {
    call: parseCallOf(request),
    inDialog: request.inDialog,
    withCall:
      request.withCallId === '' ? undefined : parseCall(request.withCallId, '', request.set || undefined),
    requestId: parseRequestId(request.requestId),
    ttlSeconds: parseTtl(request.ttlSeconds),
    constraints: { ...parseWish(request), features: parseFeatures(request.features) },
  };
}

export function parseMove(request: WireMove): MoveRequest {
  const { generation, reason, targetRelayId } = request;
  if (generation < 1n || generation > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw invalidArgument('generation', `${generation}`, `1-${Number.MAX_SAFE_INTEGER}, the one to replace`);
  }
  if (reason === '') {
    throw invalidArgument('reason', 'is empty', `1-${maxTextLength} characters`);
  }
  return {
    call: parseCallOf(request),
    generation: Number(generation),
    reason: parseText('reason', reason, maxTextLength),
    by: 'client',
    requestId: parseRequestId(request.requestId),
    constraints: {
      ...parseWish(request),
      target: targetRelayId === '' ? undefined : parseName('target_relay_id', targetRelayId),
    },
  };
}

export function parseCallOf({ callId, viaBranch, set }: LookupRequest): Call {
  return parseCall(callId, viaBranch, set === '' ? undefined : parseName('set', set));
}

function parseFeatures(features: readonly string[]): readonly string[] {
  if (features.length > maxLabels) {
    throw invalidArgument('features', `${features.length} features`, `at most ${maxLabels}`);
  }
  return features.map((feature) => parseText('features', feature, maxNameLength));
}

/** A relay named by set and id. */
export function parseRelayName(request: { readonly set: string; readonly relayId: string }) {
  return {
    set: request.set === '' ? defaultSet : parseName('set', request.set),
    id: parseName('relay_id', request.relayId),
  };
}

/** The set to list, or undefined for all. */
export function parseSetFilter(set: string): string | undefined {
  return set === '' ? undefined : parseName('set', set);
}

const states = new Map<WireState, RelayState>([
  [WireState.ACTIVE, 'active'],
  [WireState.DRAINING, 'draining'],
  [WireState.DISABLED, 'disabled'],
]);

/** Undefined where the request asks for what stands without an intent. */
export function parseIntent(request: SetIntentRequest, nowMs: number): Intent | undefined {
  const state = states.get(request.state);
  if (!state) {
    throw invalidArgument('state', `${request.state}`, 'ACTIVE, DRAINING, DISABLED');
  }
  const { weight } = request;
  if (weight !== undefined && weight > maxWeight) {
    throw invalidArgument('weight', `${weight}`, `0-${maxWeight}`);
  }
  const reason = parseText('reason', request.reason, maxTextLength);
  const actor = parseText('actor', request.actor, 64);
  if (state === 'active' && weight === undefined && reason === '') {
    return undefined;
  }
  return { state, weight, reason, actor, atMs: nowMs };
}

function parseRequestId(value: string): string {
  if (value === '') {
    return newRequestId();
  }
  if (isVisibleAscii(value, maxRequestIdBytes)) {
    return value;
  }
  throw invalidArgument(
    'request_id',
    `${quote(value)} is too long or not visible ASCII`,
    `0-${maxRequestIdBytes} bytes of visible ASCII (0x21-0x7e)`,
  );
}

function parseTtl(seconds: number): number | undefined {
  if (seconds === 0) {
    return undefined;
  }
  if (seconds >= minTtlSeconds && seconds <= maxTtlSeconds) {
    return seconds;
  }
  throw invalidArgument(
    'ttl_seconds',
    `${seconds}`,
    `${minTtlSeconds}-${maxTtlSeconds}, or 0 for the default`,
  );
}

type WireWish = Pick<WireSelect, 'excludedRelayIds' | 'zone' | 'labels'>;

function parseWish({ excludedRelayIds, zone, labels }: WireWish): RelayConstraints {
  if (excludedRelayIds.length > maxExcluded) {
    throw invalidArgument('excluded_relay_ids', `${excludedRelayIds.length} ids`, `at most ${maxExcluded}`);
  }
  for (const id of excludedRelayIds) {
    parseName('excluded_relay_ids', id);
  }
  const entries = Object.entries(labels);
  if (entries.length > maxLabels) {
    throw invalidArgument('labels', `${entries.length} labels`, `at most ${maxLabels}`);
  }
  for (const [name, value] of entries) {
    if (name === '') {
      throw invalidArgument('labels', 'a name is empty', `names of 1-${maxNameLength} characters`);
    }
    parseText('labels', name, maxNameLength);
    parseText('labels', value, 255);
  }
  return { excluded: excludedRelayIds, zone: parseText('zone', zone, maxNameLength), labels };
}

function parseText(field: string, value: string, limit: number): string {
  if (value.length <= limit) {
    return value;
  }
  throw invalidArgument(field, quote(value), `at most ${limit} characters`);
}
