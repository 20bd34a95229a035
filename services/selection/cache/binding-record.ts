import { type BindingState, bindingStates, type Move, type StoredBinding } from '../../domain/binding.js';
import { type Call, callFromKey, isHashed } from '../../domain/call.js';
import type { RelayInstance } from './instance-table.js';
import { type Chunk, unitBytes } from './record-log.js';

/**
 * A remembered binding in bytes. Each line is a unit of 8 bytes:
 *
 *     0  revision                      number
 *     1  verifiedAtMs                  number
 *     2  createdAtMs                   number
 *     3  expiresAtMs                   number
 *     4  deadlineMs                    number
 *     5  generation                    number
 *     6  epoch      | instance         two words
 *     7  ttlSeconds | lengths, flags   two words
 *     8  history    | length of rest   two words
 *     9… key, request id, rest         text
 *
 * The rest is what most bindings do not have, as JSON.
 */
const headerUnits = 9;
const keyBits = 10;
const requestIdBits = 16;
const stateBits = 2;
const stateShift = keyBits + requestIdBits;
/** The request id is of two bytes per character. */
const wide = 2 ** (stateShift + stateBits);
const mostKeyBytes = 2 ** keyBits - 1;
/** Holdfast's own request ids have 64 bytes at most, but anybody may have written what etcd holds. */
const mostRequestIdBytes = 1024;
/** Of eight moves with long reasons, and of notices. */
const mostRestBytes = 32_768;
const isWide = /[^\0-\xff]/;

/** When and by which view of etcd a binding was seen. */
export interface Seen {
  /** When etcd was last asked and said so, by the monotonic clock, before the question was sent. */
  readonly verifiedAtMs: number;
  /** Until when it lives at least, by the lease clock. */
  readonly deadlineMs: number;
  /** What was seen in an earlier epoch may have changed unheard. */
  readonly epoch: number;
  /** What was seen in an earlier history may be gone from etcd. */
  readonly history: number;
}

interface Rest {
  readonly beginning?: string;
  readonly begunAgainAtMs?: number;
  readonly moves?: readonly Move[];
  readonly callId?: string;
  readonly notices?: readonly string[];
}

/** A binding ready to be written. */
export interface Draft {
  readonly units: number;
  readonly rest: Buffer;
}

/** Undefined if the binding is too long to be remembered. */
export function draftOf({ binding }: StoredBinding): Draft | undefined {
  const { call, requestId } = binding;
  const requestIdBytes = requestId.length * (isWide.test(requestId) ? 2 : 1);
  const rest = restOf(binding);
  if (call.key.length > mostKeyBytes || requestIdBytes > mostRequestIdBytes || rest.length > mostRestBytes) {
    return undefined;
  }
  const textBytes = call.key.length + requestIdBytes + rest.length;
  return { units: headerUnits + Math.ceil(textBytes / unitBytes), rest };
}

/** @param instance number of the relay's instance */
export function writeRecord(
  { bytes, words, numbers }: Chunk,
  at: number,
  { binding, revision }: StoredBinding,
  { verifiedAtMs, deadlineMs, epoch, history }: Seen,
  instance: number,
  { rest }: Draft,
): void {
  const { call, requestId } = binding;
  const isWideId = isWide.test(requestId);
  numbers[at] = revision;
  numbers[at + 1] = verifiedAtMs;
  numbers[at + 2] = binding.createdAtMs;
  numbers[at + 3] = binding.expiresAtMs;
  numbers[at + 4] = deadlineMs;
  numbers[at + 5] = binding.generation;
  words[2 * at + 12] = epoch;
  words[2 * at + 13] = instance;
  words[2 * at + 14] = binding.ttlSeconds;
  words[2 * at + 16] = history;
  words[2 * at + 17] = rest.length;
  const begin = (at + headerUnits) * unitBytes;
  const middle = begin + bytes.write(call.key, begin, 'latin1');
  const requestIdBytes = bytes.write(requestId, middle, isWideId ? 'utf16le' : 'latin1');
  rest.copy(bytes, middle + requestIdBytes);
  words[2 * at + 15] =
    (call.key.length |
      (requestIdBytes << keyBits) |
      (bindingStates.indexOf(binding.state) << stateShift) |
      (isWideId ? wide : 0)) >>>
    0;
}

export const revisionAt = ({ numbers }: Chunk, at: number): number => numbers[at] as number;
export const verifiedAtMsAt = ({ numbers }: Chunk, at: number): number => numbers[at + 1] as number;
export const deadlineMsAt = ({ numbers }: Chunk, at: number): number => numbers[at + 4] as number;
export const epochAt = ({ words }: Chunk, at: number): number => words[2 * at + 12] as number;
export const instanceAt = ({ words }: Chunk, at: number): number => words[2 * at + 13] as number;
export const historyAt = ({ words }: Chunk, at: number): number => words[2 * at + 16] as number;

/** Whether the record is of the call with this key. */
export function isOf({ bytes, words }: Chunk, at: number, callKey: string): boolean {
  const { length } = callKey;
  if (((words[2 * at + 15] as number) & mostKeyBytes) !== length) {
    return false;
  }
  const begin = (at + headerUnits) * unitBytes;
  for (let i = 0; i < length; i++) {
    if (bytes[begin + i] !== callKey.charCodeAt(i)) {
      return false;
    }
  }
  return true;
}

/**
 * @param call the record's, where the caller has asked by it
 * @returns undefined for what was never a call
 */
export function readRecord(
  { bytes, words, numbers }: Chunk,
  at: number,
  { relayId, instance }: RelayInstance,
  call?: Call,
): StoredBinding | undefined {
  const lengths = words[2 * at + 15] as number;
  const begin = (at + headerUnits) * unitBytes;
  const middle = begin + (lengths & mostKeyBytes);
  const end = middle + ((lengths >>> keyBits) & (2 ** requestIdBits - 1));
  const restBytes = words[2 * at + 17] as number;
  const rest: Rest = restBytes === 0 ? {} : JSON.parse(bytes.toString('utf8', end, end + restBytes));
  const named = call ?? callFromKey(bytes.toString('latin1', begin, middle), rest.callId);
  if (!named) {
    return undefined;
  }
  const requestId = bytes.toString(lengths & wide ? 'utf16le' : 'latin1', middle, end);
  return {
    binding: {
      call: named.anySet ? { ...named, anySet: false } : named,
      relayId,
      instance,
      generation: numbers[at + 5] as number,
      requestId,
      state: bindingStates[(lengths >>> stateShift) & (2 ** stateBits - 1)] as BindingState,
      beginning: rest.beginning ?? requestId,
      createdAtMs: numbers[at + 2] as number,
      ...(rest.begunAgainAtMs === undefined ? {} : { begunAgainAtMs: rest.begunAgainAtMs }),
      ttlSeconds: words[2 * at + 14] as number,
      expiresAtMs: numbers[at + 3] as number,
      moves: rest.moves ?? noMoves,
      notices: rest.notices ?? noNotices,
    },
    revision: numbers[at] as number,
  };
}

const noMoves: readonly Move[] = [];
const noNotices: readonly string[] = [];
const nothing = Buffer.alloc(0);

function restOf(binding: StoredBinding['binding']): Buffer {
  const { call, requestId, beginning, begunAgainAtMs, moves, notices } = binding;
  const hasMore = moves.length > 0 || notices.length > 0;
  if (beginning === requestId && begunAgainAtMs === undefined && !hasMore && !isHashed(call)) {
    return nothing;
  }
  const rest: Rest = {
    ...(beginning === requestId ? {} : { beginning }),
    ...(begunAgainAtMs === undefined ? {} : { begunAgainAtMs }),
    ...(moves.length === 0 ? {} : { moves }),
    ...(isHashed(call) ? { callId: call.callId } : {}),
    ...(notices.length === 0 ? {} : { notices }),
  };
  return Buffer.from(JSON.stringify(rest));
}
