import * as fields from '../../control/ng/fields.js';
import type { NgDictionary } from '../../control/ng/message.js';
import { bodyFormat, errorReply, parseBody } from '../../control/ng/message.js';

/** What goes back to the proxy: a relay's body byte for byte, or words of the gateway's own. */
export type Reply = Buffer | NgDictionary;

/** As rtpengine says it. */
export const unknownCall: NgDictionary = errorReply('Unknown call-id');
/** As rtpengine says it of a `delete`: SIP proxies take it for done. */
export const nothingToDelete: NgDictionary = {
  result: 'ok',
  warning: "Call-ID not found or tags didn't match",
};

/**
 * Whether a relay refused an offer because it has no room: `load limit` where the proxy announced that it
 * understands that (Kamailio), error texts where not (OpenSIPS).
 */
export function isFull(reply: Buffer): boolean {
  const body = readReply(reply);
  if (!body) {
    return false;
  }
  if (body.result === 'load limit') {
    return true;
  }
  const reason = fields.text(body['error-reason']) ?? '';
  return body.result === 'error' && /session limit|ran out of ports|load limit/i.test(reason);
}

/** The dictionary of a relay's reply, or undefined if it is none. */
export function readReply(reply: Buffer): NgDictionary | undefined {
  try {
    const format = bodyFormat(reply);
    return format && parseBody(reply, format);
  } catch {
    return undefined;
  }
}
