import { invalidArgument } from './error.js';
import { quote } from './name.js';

export const maxCallIdBytes = 1024;
export const maxBranchBytes = 256;

/**
 * What a binding is for: a SIP call (RFC 3261 section 20.8), or one branch of a forked one (the `branch`
 * parameter of its topmost Via, section 20.42).
 */
export interface Call {
  readonly callId: string;
  /** Empty for the whole call. */
  readonly branch: string;
  /** Unique text of both, safe as the tail of an etcd key and readable there. */
  readonly key: string;
}

/**
 * A Call-ID comes from whoever sends the INVITE, so it is refused unless it is short visible ASCII.
 * @throws HoldfastError `invalid-argument` naming the field.
 */
export function parseCall(callId: string, branch = ''): Call {
  if (callId === '') {
    throw invalidArgument('call_id', 'is empty', callIdRule);
  }
  if (!isVisibleAscii(callId, maxCallIdBytes)) {
    throw refused('call_id', callId, callIdRule);
  }
  if (branch !== '' && !isVisibleAscii(branch, maxBranchBytes)) {
    throw refused('via_branch', branch, `0-${maxBranchBytes} bytes of visible ASCII (0x21-0x7e)`);
  }
  return { callId, branch, key: branch === '' ? escaped(callId) : `${escaped(callId)}/${escaped(branch)}` };
}

/** The call whose `key` this is, or undefined if the text is none. */
export function callFromKey(key: string): Call | undefined {
  const [callId = '', branch = ''] = key.split('/').map(unescaped);
  if (!isVisibleAscii(callId, maxCallIdBytes)) {
    return undefined;
  }
  if (branch !== '' && !isVisibleAscii(branch, maxBranchBytes)) {
    return undefined;
  }
  const call = parseCall(callId, branch);
  return call.key === key ? call : undefined;
}

/** True for 1 to `limit` bytes, each in 0x21-0x7e. */
export function isVisibleAscii(value: string, limit: number): boolean {
  return value.length <= limit && visible.test(value);
}

const visible = /^[\x21-\x7e]+$/;
const callIdRule = `1-${maxCallIdBytes} bytes of visible ASCII (0x21-0x7e)`;

function refused(field: string, value: string, rule: string) {
  return invalidArgument(field, `${quote(value)} is too long or not visible ASCII`, rule);
}

// Only what would blur the borders of a key is escaped, so that operators read Call-IDs as they are.
const special = /[%/]/;
const escaped = (text: string) =>
  special.test(text) ? text.replaceAll('%', '%25').replaceAll('/', '%2F') : text;
const unescaped = (text: string) => text.replaceAll('%2F', '/').replaceAll('%25', '%');
