import type { Reading } from '../protocol.js';
import {
  type BencodeDictionary,
  BencodeError,
  type BencodeValue,
  decode,
  emptyDictionary,
  encode,
  isDictionary,
} from './bencode.js';

/**
 * The body of an ng datagram: a bencode dictionary or a JSON object. A reply uses the format of its request.
 */
export type NgFormat = 'bencode' | 'json';
export type NgValue = BencodeValue;
export type NgDictionary = BencodeDictionary;

export interface NgMessage {
  readonly format: NgFormat;
  readonly body: NgDictionary;
  /** As it came, for forwarding it unchanged. */
  readonly raw: Buffer;
}

export class NgMessageError extends Error {
  override readonly name = 'NgMessageError';

  constructor(
    reason: string,
    /** What the answer to it should be in. */
    readonly format: NgFormat = 'bencode',
  ) {
    super(reason);
  }
}

const maxJsonDepth = 32;

/** @throws NgMessageError */
export function parseMessage(raw: Buffer): NgMessage {
  const format = bodyFormat(raw);
  if (!format) {
    throw new NgMessageError(raw.length === 0 ? 'no payload' : 'neither bencode nor JSON');
  }
  try {
    return { format, body: parseBody(raw, format), raw };
  } catch (error) {
    const reason = error instanceof BencodeError ? `bencode: ${error.message}` : (error as Error).message;
    throw new NgMessageError(reason, format);
  }
}

/** Reads the body of a datagram that ought to be an ng request. */
export function readMessage(body: Buffer): Reading<NgMessage> {
  try {
    const message = parseMessage(body);
    // Answering what is itself a reply would let a forged source make two ng servers answer each other for ever.
    const isReply = message.body['result'] !== undefined && message.body['command'] === undefined;
    return isReply ? { kind: 'ignored' } : { kind: 'request', request: message };
  } catch (error) {
    if (!(error instanceof NgMessageError)) {
      throw error;
    }
    const reply = encodeBody(errorReply(`Invalid data (${error.message})`), error.format);
    return { kind: 'refused', reply };
  }
}

/** By the first byte; a body of another kind has no format. */
export function bodyFormat(raw: Buffer): NgFormat | undefined {
  if (raw[0] === 0x64) {
    return 'bencode';
  }
  if (raw[0] === 0x7b) {
    return 'json';
  }
  return undefined;
}

/** @throws BencodeError, NgMessageError */
export function parseBody(raw: Buffer, format: NgFormat): NgDictionary {
  if (format === 'json') {
    return parseJson(raw);
  }
  const value = decode(raw);
  if (!isDictionary(value)) {
    throw new NgMessageError('not a dictionary');
  }
  return value;
}

export function encodeBody(body: NgDictionary, format: NgFormat): Buffer {
  return format === 'json' ? Buffer.from(JSON.stringify(jsonReady(body)), 'utf8') : encode(body);
}

export function errorReply(reason: string): NgDictionary {
  return { result: 'error', 'error-reason': reason };
}

function parseJson(raw: Buffer): NgDictionary {
  let parsed: unknown;
  try {
    parsed = JSON.parse(raw.toString('utf8'));
  } catch {
    // V8 quotes the input in its message; that would echo the sender's bytes into logs and replies.
    throw new NgMessageError('invalid JSON', 'json');
  }
  return fromJson(parsed, 0) as NgDictionary;
}

/** JSON has values that ng has not: booleans become 1 and 0, fractions become text, null is left out. */
function fromJson(value: unknown, depth: number): NgValue | undefined {
  if (typeof value === 'string') {
    return value;
  }
  if (typeof value === 'number') {
    return Number.isSafeInteger(value) ? value : String(value);
  }
  if (typeof value === 'boolean') {
    return value ? 1 : 0;
  }
  if (typeof value !== 'object' || value === null) {
    return undefined;
  }
  if (depth >= maxJsonDepth) {
    throw new NgMessageError(`JSON nested deeper than ${maxJsonDepth}`, 'json');
  }
  if (Array.isArray(value)) {
    return value.map((item) => fromJson(item, depth + 1)).filter((item) => item !== undefined);
  }
  const dictionary = emptyDictionary();
  for (const [key, item] of Object.entries(value)) {
    const converted = fromJson(item, depth + 1);
    if (converted !== undefined) {
      dictionary[key] = converted;
    }
  }
  return dictionary;
}

/** JSON cannot carry raw bytes; they are written as the code points 0–255, as rtpengine does. */
function jsonReady(value: NgValue): unknown {
  if (Buffer.isBuffer(value)) {
    return value.toString('latin1');
  }
  if (Array.isArray(value)) {
    return value.map(jsonReady);
  }
  if (typeof value !== 'object') {
    return value;
  }
  const copy: Record<string, unknown> = Object.create(null);
  for (const [key, item] of Object.entries(value)) {
    copy[key] = jsonReady(item);
  }
  return copy;
}
