import type { ControlRequest, Verdict } from '../protocol.js';
import { bytes, text } from './fields.js';
import { type NgDictionary, NgMessageError, parseMessage } from './message.js';
import { isUnsupported } from './unsupported.js';

/** As rtpengine says it of a delete: a warning, which SIP proxies take for done, or an error where they want one. */
export const deletedNothing = "Call-ID not found or tags didn't match";

/** `load limit` comes where the sender knows it; the texts, and running out of ports, otherwise. */
const full = /^(parallel session limit reached|(cpu usage|load|bandwidth) limit exceeded|ran out of ports)$/i;
const unknownCall = /^unknown call-id$/i;

/** What a relay's reply means. Its words were taken from rtpengine itself. */
export function judgeReply(reply: Buffer, { act, callId }: Pick<ControlRequest, 'act' | 'callId'>): Verdict {
  const body = readReply(reply);
  if (!body) {
    return { kind: 'error', reason: 'a reply that is not ng' };
  }
  const result = text(body['result']) ?? '';
  if (result === 'load limit') {
    return { kind: 'full', reason: text(body['message']) ?? result };
  }
  if (result === 'error') {
    const reason = text(body['error-reason']) ?? 'error without a reason';
    if (act === 'delete' && reason === deletedNothing) {
      return { kind: 'unchanged' };
    }
    return isUnsupported(body) ? { kind: 'unsupported', reason } : judgeError(reason);
  }
  if (act === 'delete' && text(body['warning']) === deletedNothing) {
    return { kind: 'unchanged' };
  }
  return { kind: 'accepted', madeCallId: callId ? undefined : bytes(body['call-id']) };
}

/** The dictionary of a relay's reply, or undefined if it is none. */
export function readReply(reply: Buffer): NgDictionary | undefined {
  try {
    return parseMessage(reply).body;
  } catch (error) {
    if (error instanceof NgMessageError) {
      return undefined;
    }
    throw error;
  }
}

function judgeError(reason: string): Verdict {
  if (full.test(reason)) {
    return { kind: 'full', reason };
  }
  return unknownCall.test(reason) ? { kind: 'unknown-call' } : { kind: 'error', reason };
}
