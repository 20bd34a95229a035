import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { invalidArgument } from './error.js';
import { defaultSet, isName, quote } from './name.js';

export const maxCallIdBytes = 16_384;
export const maxBranchBytes = 256;
/** A Call-ID whose key would be longer than this is known by its hash. */
const maxKeyIdLength = 512;

/**
 * What a binding is for: a SIP call (RFC 3261 section 20.8), or one branch of a forked one (the `branch` parameter of its
 * topmost Via, section 20.42), in one relay set: an edge and a core proxy may each have a relay for one Call-ID.
 */
export interface Call {
  /** As text; where the bytes are not UTF-8, each byte is one character of it. */
  readonly callId: string;
  /** Relay set that the call is in. */
  readonly set: string;
  /** Empty for the whole call. */
  readonly branch: string;
  /** Unique text of the three, at most 1,345 characters of visible ASCII: the tail of an etcd key, readable there. */
  readonly key: string;
  /** True where the request named no set: the call may be in another one, which is then meant. */
  readonly anySet: boolean;
}

/**
 * @param callId as in the SIP message: any bytes, since whoever sends the INVITE chooses it
 * @param set undefined if the request names none
 * @param field where the Call-ID was
 * @throws HoldfastError `invalid-argument` naming the field
 */
export function parseCall(callId: string | Buffer, branch = '', set?: string, field = 'call_id'): Call {
  const text = typeof callId === 'string' ? callId : textOf(callId);
  if (text === '') {
    throw invalidArgument(field, 'is empty', callIdRule);
  }
  const length = byteLengthOf(callId);
  if (length > maxCallIdBytes) {
    throw invalidArgument(field, `${quote(text)} has ${length} bytes`, callIdRule);
  }
  const id = keyIdOf(text, callId);
  if (branch !== '' && !isVisibleAscii(branch, maxBranchBytes)) {
    throw invalidArgument(
      'via_branch',
      `${quote(branch)} is too long or not visible ASCII`,
      `0-${maxBranchBytes} bytes of visible ASCII (0x21-0x7e)`,
    );
  }
  return callIn(set ?? defaultSet, text, id, branch, set === undefined);
}

/** The same call in another set. */
export function inSet(call: Call, set: string): Call {
  return callIn(set, call.callId, idOf(call), call.branch, false);
}

/** What the keys of a call in all sets begin with, the border after it included. */
export function keyPrefixOf(call: Call): string {
  return `${idOf(call)}/`;
}

/** The Call-ID as in SIP messages. */
export function bytesOf(call: Call): Buffer {
  const text = Buffer.from(call.callId);
  return keyIdOf(call.callId, text) === idOf(call) ? text : Buffer.from(call.callId, 'latin1');
}

/**
 * The call whose `key` this is, or undefined if the text is none.
 * @param callId for a call that is known by its hash
 */
export function callFromKey(key: string, callId?: string | Buffer): Call | undefined {
  const [id = '', set = '', branch, more] = key.split('/');
  if (more !== undefined || branch === '' || !isName(set)) {
    return undefined;
  }
  const bytes = id.includes(hashMark) ? callId : unescaped(id);
  const via = branch === undefined ? '' : (unescaped(branch)?.toString('latin1') ?? ' ');
  if (bytes === undefined || bytes.length === 0 || byteLengthOf(bytes) > maxCallIdBytes) {
    return undefined;
  }
  const text = typeof bytes === 'string' ? bytes : textOf(bytes);
  if (keyIdOf(text, bytes) !== id || (via !== '' && !isVisibleAscii(via, maxBranchBytes))) {
    return undefined;
  }
  const call = callIn(set, text, id, via, false);
  return call.key === key ? call : undefined;
}

/** True for a call whose key does not tell its Call-ID. */
export function isHashed(call: Call): boolean {
  return idOf(call).includes(hashMark);
}

/** True for 1 to `limit` bytes, each in 0x21-0x7e. */
export function isVisibleAscii(value: string, limit: number): boolean {
  return value.length <= limit && visible.test(value);
}

const visible = /^[\x21-\x7e]+$/;
/** Visible, and neither an escape nor a border of keys. */
const plain = /^[\x21-\x24\x26-\x2e\x30-\x7d]+$/;
const callIdRule = `1-${maxCallIdBytes} bytes`;
/** Between the beginning of a long Call-ID and its hash; escaped where it is part of a Call-ID. */
const hashMark = '~';
const readableLength = 64;

function callIn(set: string, callId: string, id: string, branch: string, anySet: boolean): Call {
  const key = branch === '' ? `${id}/${set}` : `${id}/${set}/${escaped(Buffer.from(branch, 'latin1'))}`;
  return { callId, set, branch, key, anySet };
}

const idOf = ({ key }: Call) => key.slice(0, key.indexOf('/'));

function keyIdOf(text: string, callId: string | Buffer): string {
  // What operators read in etcd is the Call-ID itself, as nearly all are made.
  if (text.length <= maxKeyIdLength && plain.test(text)) {
    return text;
  }
  const bytes = typeof callId === 'string' ? Buffer.from(callId) : callId;
  // An escape makes nothing shorter: what is too long before it need not be escaped as a whole.
  const id = bytes.length <= maxKeyIdLength ? escaped(bytes) : undefined;
  if (id !== undefined && id.length <= maxKeyIdLength) {
    return id;
  }
  return `${escaped(bytes.subarray(0, readableLength)).slice(0, readableLength)}${hashMark}${sha256(bytes)}`;
}

function escaped(bytes: Buffer): string {
  let text = '';
  for (const byte of bytes) {
    const character = String.fromCharCode(byte);
    text += plain.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return text;
}

function unescaped(text: string): Buffer | undefined {
  if (!visible.test(text) || /%(?![0-9A-F]{2})/.test(text)) {
    return undefined;
  }
  return Buffer.from(
    text.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  );
}

/** UTF-8 where it is that, else a character for each byte: so no two byte strings of a kind look alike. */
function textOf(bytes: Buffer): string {
  return isUtf8(bytes) ? bytes.toString() : bytes.toString('latin1');
}

function byteLengthOf(callId: string | Buffer): number {
  return typeof callId === 'string' ? Buffer.byteLength(callId) : callId.length;
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** What a relay tells of a call that it carries. */
export interface CarriedCall {
  /** RTP packets so far, 0 if it does not say: where two relays carry one call, media flows on one of them. */
  readonly packets: number;
  /** Both parties have told it where their media are. False also where it does not say: it may only have been offered the call. */
  readonly isAnswered: boolean;
  /**
   * When a proxy last told the relay of its media: ms since 1970 by the relay's clock, with the fraction of the second cut off;
   * undefined if it does not say.
   */
  readonly signaledAtMs?: number | undefined;
}
