import type { StoredBinding } from '../../domain/binding.js';
import { callFromKey } from '../../domain/call.js';
import type { RelayInstance } from './instance-table.js';
import { type Chunk, unitBytes } from './record-log.js';

/**
 * A remembered binding in bytes. Numbers first, each in a unit:
 *
 *     0 revision   1 verifiedAtMs   2 createdAtMs   3 expiresAtMs   4 generation
 *     5 era, number of the relay's life
 *     6 ttlSeconds, lengths and flags
 *
 * then the call's key and the request id, up to the end of the last unit.
 */
const headerUnits = 7;
const keyBits = 12;
const requestIdBits = 16;
const released = 2 ** 31;
/** The request id is of two bytes per character. */
const wide = 2 ** 30;
/** The call's key is its Call-ID. */
const plain = 2 ** 29;
const mostKeyBytes = 2 ** keyBits - 1;
/** Holdfast's own request ids have 64 bytes at most, but anybody may have written what etcd holds. */
const mostRequestIdBytes = 1024;
const isWide = /[^\0-\xff]/;

/** When and by whom a binding was seen. */
export interface Seen {
  /** When etcd was last asked and said so, by the monotonic clock, before the question was sent. */
  readonly verifiedAtMs: number;
  readonly epoch: number;
}

/** Units that the record takes, or undefined if the binding is too long to be remembered. */
export function unitsFor({ binding }: StoredBinding): number | undefined {
  const keyBytes = binding.call.key.length;
  const requestIdBytes = binding.requestId.length * (isWide.test(binding.requestId) ? 2 : 1);
  if (keyBytes > mostKeyBytes || requestIdBytes > mostRequestIdBytes) {
    return undefined;
  }
  return headerUnits + Math.ceil((keyBytes + requestIdBytes) / unitBytes);
}

/** @param lifeNumber of the life of the relay that it names */
export function writeRecord(
  { bytes, words, numbers }: Chunk,
  at: number,
  { binding, revision }: StoredBinding,
  { verifiedAtMs, epoch }: Seen,
  lifeNumber: number,
): void {
  const { call, requestId } = binding;
  const isWideId = isWide.test(requestId);
  numbers[at] = revision;
  numbers[at + 1] = verifiedAtMs;
  numbers[at + 2] = binding.createdAtMs;
  numbers[at + 3] = binding.expiresAtMs;
  numbers[at + 4] = binding.generation;
  words[2 * at + 10] = epoch;
  words[2 * at + 11] = lifeNumber;
  words[2 * at + 12] = binding.ttlSeconds;
  const begin = (at + headerUnits) * unitBytes;
  const middle = begin + bytes.write(call.key, begin, 'latin1');
  const requestIdBytes = bytes.write(requestId, middle, isWideId ? 'utf16le' : 'latin1');
  words[2 * at + 13] =
    call.key.length |
    (requestIdBytes << keyBits) |
    (binding.released ? released : 0) |
    (isWideId ? wide : 0) |
    (call.key === call.callId ? plain : 0);
}

export const revisionAt = ({ numbers }: Chunk, at: number): number => numbers[at] as number;
export const verifiedAtMsAt = ({ numbers }: Chunk, at: number): number => numbers[at + 1] as number;
export const expiresAtMsAt = ({ numbers }: Chunk, at: number): number => numbers[at + 3] as number;
export const epochAt = ({ words }: Chunk, at: number): number => words[2 * at + 10] as number;
export const lifeNumberAt = ({ words }: Chunk, at: number): number => words[2 * at + 11] as number;

/** Whether the record is of the call with this key. */
export function isOf({ bytes, words }: Chunk, at: number, callKey: string): boolean {
  const { length } = callKey;
  if (((words[2 * at + 13] as number) & mostKeyBytes) !== length) {
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

/** @param callKey the call's, which the caller has asked by */
export function readRecord(
  { bytes, words, numbers }: Chunk,
  at: number,
  callKey: string,
  { set, relayId, instance }: RelayInstance,
): StoredBinding | undefined {
  const lengths = words[2 * at + 13] as number;
  const call = lengths & plain ? { callId: callKey, branch: '', key: callKey } : callFromKey(callKey);
  if (!call) {
    return undefined;
  }
  const middle = (at + headerUnits) * unitBytes + callKey.length;
  const end = middle + ((lengths >>> keyBits) & (2 ** requestIdBits - 1));
  return {
    binding: {
      call,
      set,
      relayId,
      instance,
      generation: numbers[at + 4] as number,
      requestId: bytes.toString(lengths & wide ? 'utf16le' : 'latin1', middle, end),
      createdAtMs: numbers[at + 2] as number,
      ttlSeconds: words[2 * at + 12] as number,
      expiresAtMs: numbers[at + 3] as number,
      released: lengths >= released,
    },
    revision: numbers[at] as number,
  };
}
