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
 * One datagram of the ng protocol: `cookie SP body`. The cookie names the transaction, the body is a
 * bencode dictionary or a JSON object, and a reply uses the format of its request.
 */
export type NgFormat = 'bencode' | 'json';
export type NgValue = BencodeValue;
export type NgDictionary = BencodeDictionary;

export interface NgMessage {
  readonly cookie: string;
  readonly format: NgFormat;
  readonly body: NgDictionary;
  /** The body as it came, for forwarding it unchanged. */
  readonly raw: Buffer;
}

export class NgMessageError extends Error {
  override readonly name = 'NgMessageError';

  constructor(
    reason: string,
    /** The cookie, if at least that could be read: then the sender can be told. */
    readonly cookie: string | undefined,
    readonly format: NgFormat = 'bencode',
  ) {
    super(reason);
  }
}

/** What IPv4 UDP can carry: 65,535 less 20 bytes of IP and 8 of UDP header. */
export const maxDatagramBytes = 65_507;
export const maxCookieBytes = 255;
const maxJsonDepth = 32;
const SPACE = 0x20;

/** The cookie and what follows its space; undefined if there is no such thing. */
export function splitDatagram(datagram: Buffer): { cookie: string; raw: Buffer } | undefined {
  const limit = Math.min(datagram.length, maxCookieBytes + 1);
  let end = 0;
  for (; end < limit; end++) {
    const byte = datagram[end] as number;
    if (byte === SPACE) {
      break;
    }
    if (byte < 0x21 || byte > 0x7e) {
      return undefined;
    }
  }
  if (end === 0 || end === limit) {
    return undefined;
  }
  return { cookie: datagram.toString('latin1', 0, end), raw: datagram.subarray(end + 1) };
}

export function parseMessage(datagram: Buffer): NgMessage {
  const parts = splitDatagram(datagram);
  if (!parts) {
    throw new NgMessageError('no cookie', undefined);
  }
  const { cookie, raw } = parts;
  const format = bodyFormat(raw);
  if (!format) {
    throw new NgMessageError(raw.length === 0 ? 'no payload' : 'neither bencode nor JSON', cookie);
  }
  try {
    return { cookie, format, body: parseBody(raw, format), raw };
  } catch (error) {
    const reason = error instanceof BencodeError ? `bencode: ${error.message}` : (error as Error).message;
    throw new NgMessageError(reason, cookie, format);
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

/** Throws BencodeError or NgMessageError. */
export function parseBody(raw: Buffer, format: NgFormat): NgDictionary {
  if (format === 'json') {
    return parseJson(raw);
  }
  const value = decode(raw);
  if (!isDictionary(value)) {
    throw new NgMessageError('not a dictionary', undefined);
  }
  return value;
}

export function encodeBody(body: NgDictionary, format: NgFormat): Buffer {
  return format === 'json' ? Buffer.from(JSON.stringify(jsonReady(body)), 'utf8') : encode(body);
}

/** `body` is a dictionary, or bytes to be sent as they are. */
export function encodeMessage(cookie: string, body: NgDictionary | Buffer, format: NgFormat): Buffer {
  const bytes = Buffer.isBuffer(body) ? body : encodeBody(body, format);
  const datagram = Buffer.allocUnsafe(cookie.length + 1 + bytes.length);
  datagram.write(cookie, 'latin1');
  datagram[cookie.length] = SPACE;
  bytes.copy(datagram, cookie.length + 1);
  return datagram;
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
    throw new NgMessageError('invalid JSON', undefined, 'json');
  }
  return fromJson(parsed, 0) as NgDictionary;
}

/** JSON has kinds of values that ng has not: truth values become 1 and 0, fractions text, null is left out. */
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
    throw new NgMessageError(`JSON nested deeper than ${maxJsonDepth}`, undefined, 'json');
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
