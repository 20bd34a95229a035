import type { CallParties, ControlProtocol, Reading } from '../protocol.js';
import { readCommand } from './command.js';
import { errorCodes, errorReply } from './errors.js';
import { packetsIn } from './reply.js';
import { ownRequest, RtpproxyRequest } from './request.js';
import { tagOf } from './tag.js';

export interface RtpproxyProtocol extends ControlProtocol {
  read(body: Buffer): Reading<RtpproxyRequest>;
}

/** What rtpproxy's replies begin with: numbers, and `E` with a number. No command begins so. */
const replyStart = /^\s*(?:\d|e\d)/i;

/** rtpproxy's protocol, over UDP: one command in each datagram. */
export const rtpproxy: RtpproxyProtocol = {
  name: 'rtpproxy',

  read(body) {
    if (replyStart.test(body.toString('latin1', 0, 16))) {
      return { kind: 'ignored' };
    }
    const command = readCommand(body);
    // `X` would end the calls of everybody.
    if (typeof command === 'number' || command.name === 'X') {
      return {
        kind: 'refused',
        reply: errorReply(typeof command === 'number' ? command : errorCodes.unknownCommand),
      };
    }
    return { kind: 'request', request: new RtpproxyRequest(body, command) };
  },

  deleteRequest: (call) => ownRequest(`D ${namesOf(call, tagOf)}`),

  // It ends sessions of two parties, and knows no other way.
  endRequest: (call) => ownRequest(`D ${namesOf(call, tagOf)}`),

  queryRequest: (call) => ownRequest(`Q ${namesOf({ ...call, toTag: undefined }, (tag) => tag)}`),

  callIn: (reply) => ({ packets: packetsIn(reply), isAnswered: false }),

  // It has no command that lists calls.
  listRequest: () => undefined,
  callIdsIn: () => undefined,
};

function namesOf({ callId, fromTag, toTag }: CallParties, read: (tag: string) => string): string {
  const tags = [fromTag, toTag].flatMap((tag) => (tag ? [read(tag.toString('latin1'))] : []));
  return [callId.toString('latin1'), ...tags].join(' ');
}
