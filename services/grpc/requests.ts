import type { LookupRequest, SelectRequest } from '../../proto/generated/holdfast/v1/selection.js';
import { type Call, isVisibleAscii, parseCall } from '../domain/call.js';
import { invalidArgument } from '../domain/error.js';
import { defaultSet, parseName, quote } from '../domain/name.js';
import { maxLabels } from '../domain/relay.js';
import type { RelayConstraints } from '../placement/pool.js';
import { newRequestId } from '../selection/request-id.js';

/**
 * Fields that several methods have. Each method parses its whole request before it does anything; a malformed field is
 * refused with `invalid-argument`, which names the field, its value and the limit.
 */

/** Of reasons. */
export const maxTextLength = 256;
const maxRequestIdBytes = 64;
const maxExcluded = 64;
const maxNameLength = 63;
const maxLabelLength = 255;
const maxFeatures = 16;

/** Without a set, the call is found in whichever set it is. */
export function parseCallOf({ callId, viaBranch, set }: Omit<LookupRequest, 'current'>): Call {
  return parseCall(callId, viaBranch, parseSetFilter(set));
}

/** Undefined if no set is named. */
export function parseSetFilter(set: string): string | undefined {
  return set === '' ? undefined : parseName('set', set);
}

export function parseRelayName({ set, relayId }: { readonly set: string; readonly relayId: string }) {
  return { set: parseSetFilter(set) ?? defaultSet, id: parseName('relay_id', relayId) };
}

export function parseRequestId(value: string): string {
  return value === '' ? newRequestId() : requestId('request_id', value);
}

/** Undefined if none is named. */
export function parseBeginning(value: string): string | undefined {
  return value === '' ? undefined : requestId('beginning', value);
}

function requestId(field: string, value: string): string {
  if (isVisibleAscii(value, maxRequestIdBytes)) {
    return value;
  }
  throw invalidArgument(
    field,
    `${quote(value)} is too long or not visible ASCII`,
    `0-${maxRequestIdBytes} bytes of visible ASCII (0x21-0x7e)`,
  );
}

export function parseConstraints({
  excludedRelayIds,
  zone,
  labels,
}: Pick<SelectRequest, 'excludedRelayIds' | 'zone' | 'labels'>): RelayConstraints {
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
    parseText('labels', value, maxLabelLength);
  }
  return { excluded: excludedRelayIds, zone: parseText('zone', zone, maxNameLength), labels };
}

export function parseFeatures(features: readonly string[]): readonly string[] {
  if (features.length > maxFeatures) {
    throw invalidArgument('features', `${features.length} features`, `at most ${maxFeatures}`);
  }
  for (const feature of features) {
    if (feature === '') {
      throw invalidArgument('features', 'one is empty', `names of 1-${maxNameLength} characters`);
    }
    parseText('features', feature, maxNameLength);
  }
  return features;
}

export function parseText(field: string, value: string, limit: number): string {
  if (value.length <= limit) {
    return value;
  }
  throw invalidArgument(field, quote(value), `at most ${limit} characters`);
}
