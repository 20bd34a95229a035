import {
  type Binding,
  type BindingState,
  bindingStates,
  type Move,
  maxGeneration,
  maxMoves,
  maxTtlSeconds,
  noticeLimits,
} from '../../domain/binding.js';
import { type Call, callFromKey, isHashed } from '../../domain/call.js';
import { isName } from '../../domain/name.js';
import { InvalidValue } from '../../etcd/invalid-value.js';
import { type Codec, lastTimeMs, maxValueBytes } from './codec.js';

/** The JSON of a binding in etcd. */
interface BindingValue {
  /** Where the key does not tell the Call-ID. */
  readonly callId?: string;
  readonly relay: string;
  readonly instance: string;
  readonly state: BindingState;
  readonly generation: number;
  readonly request: string;
  /** The request that began the call; left out where it is `request`. */
  readonly begun?: string;
  readonly createdAt: string;
  /** Of a call that began again after its release. */
  readonly begunAgainAt?: string;
  readonly ttlSeconds: number;
  readonly expiresAt: string;
  readonly moves?: readonly MoveValue[];
  readonly notices?: readonly string[];
}

interface MoveValue {
  readonly at: string;
  readonly from: string;
  readonly why: string;
  readonly by: string;
}

/** Writes times as ISO 8601 has them. The last is remembered: many bindings are made in one millisecond. */
class TimeText {
  #ms = Number.NaN;
  #text = '';

  text(ms: number): string {
    if (ms !== this.#ms) {
      this.#text = new Date(ms).toISOString();
      this.#ms = ms;
    }
    return this.#text;
  }
}

const created = new TimeText();
const expires = new TimeText();

function encode(binding: Binding): Buffer {
  const { call, moves, notices } = binding;
  const value: BindingValue = {
    ...(isHashed(call) ? { callId: call.callId } : {}),
    relay: binding.relayId,
    instance: binding.instance,
    state: binding.state,
    generation: binding.generation,
    request: binding.requestId,
    ...(binding.beginning === binding.requestId ? {} : { begun: binding.beginning }),
    createdAt: created.text(binding.createdAtMs),
    ...(binding.begunAgainAtMs === undefined
      ? {}
      : { begunAgainAt: new Date(binding.begunAgainAtMs).toISOString() }),
    ttlSeconds: binding.ttlSeconds,
    expiresAt: expires.text(binding.expiresAtMs),
    ...(moves.length === 0 ? {} : { moves: moves.map(moveValue) }),
    ...(notices.length === 0 ? {} : { notices }),
  };
  return Buffer.from(JSON.stringify(value));
}

function decode(key: string, bytes: Buffer): Binding | InvalidValue {
  if (bytes.length > maxValueBytes) {
    return new InvalidValue(`${bytes.length} bytes; at most ${maxValueBytes}`);
  }
  let value: Partial<Record<keyof BindingValue, unknown>>;
  try {
    value = JSON.parse(bytes.toString());
  } catch {
    return new InvalidValue('not JSON');
  }
  if (typeof value !== 'object' || value === null) {
    return new InvalidValue('not an object');
  }
  const { relay, instance, state, generation, request, createdAt, ttlSeconds, expiresAt } = value;
  const { begun = request, begunAgainAt, moves = [], notices = [] } = value;
  const call = callOf(key, value.callId);
  if (!call) {
    return new InvalidValue('the key is not of a call');
  }
  if (typeof relay !== 'string' || !isName(relay)) {
    return new InvalidValue('relay: not a DNS label');
  }
  if (!isState(state)) {
    return new InvalidValue(`state: not one of ${bindingStates.join(', ')}`);
  }
  if (typeof instance !== 'string' || typeof request !== 'string' || typeof begun !== 'string') {
    return new InvalidValue('instance, request, begun: not text');
  }
  if (!isWhole(generation, 1, maxGeneration)) {
    return new InvalidValue(`generation: not a whole number of 1-${maxGeneration}`);
  }
  if (!isWhole(ttlSeconds, 1, maxTtlSeconds)) {
    return new InvalidValue(`ttlSeconds: not a whole number of 1-${maxTtlSeconds}`);
  }
  const createdAtMs = parseTime(createdAt);
  const expiresAtMs = parseTime(expiresAt);
  const begunAgainAtMs = begunAgainAt === undefined ? undefined : parseTime(begunAgainAt);
  if ([createdAtMs, expiresAtMs, begunAgainAtMs].some(Number.isNaN)) {
    return new InvalidValue('createdAt, expiresAt, begunAgainAt: not ISO 8601');
  }
  return {
    call,
    relayId: relay,
    instance,
    state,
    generation,
    requestId: request,
    beginning: begun,
    createdAtMs,
    ...(begunAgainAtMs === undefined ? {} : { begunAgainAtMs }),
    ttlSeconds,
    expiresAtMs,
    moves: Array.isArray(moves) ? moves.flatMap((move) => parseMove(move) ?? []).slice(-maxMoves) : [],
    notices: Array.isArray(notices) ? notices.filter(isNotice).slice(-noticeLimits.count) : [],
  };
}

/** The key is that of the call. Written and read once per call or more: no schema library on this path. */
export const bindingCodec: Codec<Binding> = { encode, decode };

/** A Call-ID that is not UTF-8 is in the value as text of one character for each byte. */
function callOf(key: string, callId: unknown): Call | undefined {
  if (typeof callId !== 'string') {
    return callFromKey(key);
  }
  return callFromKey(key, callId) ?? callFromKey(key, Buffer.from(callId, 'latin1'));
}

function moveValue({ atMs, from, reason, by }: Move): MoveValue {
  return { at: new Date(atMs).toISOString(), from, why: reason, by };
}

/** Undefined for junk: the rest of the history is worth having all the same. */
function parseMove(value: unknown): Move | undefined {
  const { at, from, why, by } = (value ?? {}) as Partial<Record<keyof MoveValue, unknown>>;
  const atMs = parseTime(at);
  if (Number.isNaN(atMs) || typeof from !== 'string' || typeof why !== 'string' || typeof by !== 'string') {
    return undefined;
  }
  return { atMs, from, reason: why, by };
}

function isNotice(value: unknown): value is string {
  return typeof value === 'string' && value.length <= noticeLimits.length;
}

function isState(value: unknown): value is BindingState {
  return bindingStates.includes(value as BindingState);
}

function isWhole(value: unknown, least: number, most: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;
}

/** NaN for what is not a time between 1970 and the end of 9999, which is as far as protobuf's timestamps go. */
function parseTime(value: unknown): number {
  const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return ms >= 0 && ms <= lastTimeMs ? ms : Number.NaN;
}
