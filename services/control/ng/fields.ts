import type { NgDictionary, NgValue } from './message.js';

/**
 * The fields of an ng request that say which call and which party it is about. rtpengine's clients spell
 * them in several ways, and a proxy script may hide them inside the `rtpp-flags` string.
 */
export function command(body: NgDictionary): string | undefined {
  return text(body['command']);
}

export function callId(body: NgDictionary): string | undefined {
  return field(body, ['call-id', 'call-ID', 'call id'], 'call-id');
}

export function fromTag(body: NgDictionary): string | undefined {
  return field(body, ['from-tag', 'from tag'], 'from-tag');
}

export function toTag(body: NgDictionary): string | undefined {
  return field(body, ['to-tag', 'to tag'], 'to-tag');
}

export function viaBranch(body: NgDictionary): string | undefined {
  return field(body, ['via-branch', 'via branch'], 'via-branch');
}

/** A flag is in a list such as `supports` or `replace`; spaces and dashes are the same to rtpengine. */
export function hasFlag(body: NgDictionary, list: string, flag: string): boolean {
  const values = body[list];
  if (!Array.isArray(values)) {
    return false;
  }
  const wanted = flag.replaceAll(' ', '-');
  return values.some((value) => typeof value === 'string' && value.replaceAll(' ', '-') === wanted);
}

/**
 * A string field as text. Bytes that are not UTF-8 become Latin-1, so that a binary Call-ID stays
 * distinguishable and is refused by whoever checks it, instead of looking absent.
 */
export function text(value: NgValue | undefined): string | undefined {
  if (typeof value === 'string') {
    return value;
  }
  return Buffer.isBuffer(value) ? value.toString('latin1') : undefined;
}

function field(body: NgDictionary, keys: readonly string[], flag: string): string | undefined {
  for (const key of keys) {
    const value = text(body[key]);
    if (value !== undefined && value !== '') {
      return value;
    }
  }
  return flagValue(text(body['rtpp-flags']) ?? text(body['rtpp flags']), flag);
}

/** `rtpp-flags` holds words separated by blanks, some of the form `name=value`. */
function flagValue(flags: string | undefined, name: string): string | undefined {
  if (flags === undefined) {
    return undefined;
  }
  const prefix = `${name}=`;
  for (const word of flags.split(/[ \t\r\n]+/)) {
    if (word.length > prefix.length && word.slice(0, prefix.length).toLowerCase() === prefix) {
      return word.slice(prefix.length);
    }
  }
  return undefined;
}
