import type { NgDictionary, NgValue } from './message.js';

/**
 * The fields of an ng request that say which call and which party it is about, read as rtpengine reads them: it goes through
 * the dictionary in its order, knows several spellings of a key, and parses an `rtpp-flags` string where it meets it. What
 * comes last counts.
 */
export type FieldName = 'call-id' | 'to-call-id' | 'from-tag' | 'to-tag' | 'via-branch';

const spellings: Readonly<Record<FieldName, readonly string[]>> = {
  'call-id': ['call-id', 'call-ID', 'call id', 'call ID'],
  'to-call-id': ['to-call-id', 'to call id'],
  'from-tag': ['from-tag', 'from tag', 'from_tag'],
  'to-tag': ['to-tag', 'to tag', 'to_tag'],
  'via-branch': ['via-branch'],
};
const flagStrings = ['rtpp-flags', 'rtpp_flags', 'rtpp flags'];

/** Undefined if the field is missing, empty, or not a string. */
export function field(body: NgDictionary, name: FieldName): string | Buffer | undefined {
  let found: string | Buffer | undefined;
  for (const key in body) {
    const value = body[key];
    if (spellings[name].includes(key)) {
      found = textOrBytes(value) ?? found;
    } else if (flagStrings.includes(key)) {
      found = flagValue(text(value) ?? '', name) ?? found;
    }
  }
  return found;
}

export function command(body: NgDictionary): string | undefined {
  return text(body['command']);
}

export function callId(body: NgDictionary): string | undefined {
  return text(field(body, 'call-id'));
}

export function fromTag(body: NgDictionary): string | undefined {
  return text(field(body, 'from-tag'));
}

export function toTag(body: NgDictionary): string | undefined {
  return text(field(body, 'to-tag'));
}

export function viaBranch(body: NgDictionary): string | undefined {
  return text(field(body, 'via-branch'));
}

/**
 * A flag is in a list such as `supports` or `replace`, or in a string of flags separated by commas; spaces and dashes are the
 * same to rtpengine.
 */
export function hasFlag(body: NgDictionary, list: string, flag: string): boolean {
  const value = body[list];
  const flags = typeof value === 'string' ? value.split(',') : value;
  if (!Array.isArray(flags)) {
    return false;
  }
  const wanted = flag.replaceAll(' ', '-');
  return flags.some((each) => typeof each === 'string' && each.replaceAll(' ', '-') === wanted);
}

/** The first of these fields that is a whole number, from 0: proxies write it as a number or as text. */
export function wholeNumber(body: NgDictionary, keys: readonly string[]): number | undefined {
  for (const key of keys) {
    const asked = text(body[key]) ?? body[key];
    const value =
      typeof asked === 'object' || asked === undefined || asked === '' ? Number.NaN : Number(asked);
    if (Number.isSafeInteger(value) && value >= 0) {
      return value;
    }
  }
  return undefined;
}

/** A string field as text. Bytes that are not UTF-8 become Latin-1, for logs and for comparing with known words. */
export function text(value: NgValue | undefined): string | undefined {
  if (typeof value === 'string') {
    return value;
  }
  return Buffer.isBuffer(value) ? value.toString('latin1') : undefined;
}

/** The bytes of a string field as they were on the wire. */
export function bytes(value: NgValue | undefined): Buffer | undefined {
  if (typeof value === 'string') {
    return Buffer.from(value, 'utf8');
  }
  return Buffer.isBuffer(value) ? value : undefined;
}

function textOrBytes(value: NgValue | undefined): string | Buffer | undefined {
  return (typeof value === 'string' || Buffer.isBuffer(value)) && value.length > 0 ? value : undefined;
}

/**
 * `rtpp-flags` holds words separated by spaces, some of the form `name=value`. A value may be a list or a dictionary in
 * brackets; the words in there belong to it.
 */
function flagValue(flags: string, name: FieldName): string | undefined {
  if (!spellings[name].some((each) => flags.includes(`${each}=`))) {
    return undefined;
  }
  let found: string | undefined;
  let depth = 0;
  for (const word of flags.split(' ')) {
    const end = word.indexOf('=');
    if (depth === 0 && end > 0 && end + 1 < word.length && spellings[name].includes(word.slice(0, end))) {
      found = word.slice(end + 1);
    }
    if (/[[\]]/.test(word)) {
      depth = Math.max(0, depth + count(word, '[') - count(word, ']'));
    }
  }
  return found;
}

function count(word: string, character: string): number {
  return word.split(character).length - 1;
}
