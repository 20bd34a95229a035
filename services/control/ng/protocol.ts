import type { CallParties, ControlProtocol, Reading } from '../protocol.js';
import { bytes } from './fields.js';
import { encodeBody, type NgDictionary, type NgValue, parseMessage, readMessage } from './message.js';
import { readReply } from './reply.js';
import { NgRequest } from './request.js';

export interface NgProtocol extends ControlProtocol {
  read(body: Buffer): Reading<NgRequest>;
}

/** rtpengine's ng protocol, over UDP. */
export const ng: NgProtocol = {
  name: 'ng',

  read(body) {
    const reading = readMessage(body);
    if (reading.kind !== 'request') {
      return reading;
    }
    const request = new NgRequest(reading.request);
    const problem = problemOf(request);
    return problem === undefined
      ? { kind: 'request', request }
      : { kind: 'refused', reply: request.error(problem) };
  },

  deleteRequest: ({ callId, fromTag, toTag }) =>
    ownRequest({
      command: 'delete',
      'call-id': callId,
      ...(fromTag ? { 'from-tag': fromTag } : {}),
      ...(toTag ? { 'to-tag': toTag } : {}),
    }),

  endRequest: ({ callId }) => ownRequest({ command: 'delete', 'call-id': callId }),

  queryRequest: ({ callId }: CallParties) => ownRequest({ command: 'query', 'call-id': callId }),

  callIn(reply) {
    const body = readReply(reply);
    const rtp = dictionary(dictionary(body?.['totals'])?.['RTP']);
    const seconds = Number(body?.['last signal'] ?? 0);
    return {
      packets: Number(rtp?.['packets'] ?? 0) || 0,
      isAnswered: Object.values(dictionary(body?.['tags']) ?? {}).filter(hasSignaled).length > 1,
      signaledAtMs: seconds > 0 ? seconds * 1000 : undefined,
    };
  },

  listRequest: (limit) => ownRequest({ command: 'list', limit }),

  callIdsIn(reply) {
    const calls = readReply(reply)?.['calls'];
    return Array.isArray(calls) ? calls.flatMap((call) => bytes(call) ?? []) : undefined;
  },
};

/** Newer versions make a call id for what they begin, but for an offer. */
const mayLackCallId = new Set(['ping', 'list', 'begin', 'unknown']);

function dictionary(value: NgValue | undefined): NgDictionary | undefined {
  return typeof value === 'object' && !Array.isArray(value) && !Buffer.isBuffer(value) ? value : undefined;
}

/** The party has told where its media are. One that was only offered the call, or a re-INVITE of it, is there without. */
function hasSignaled(party: NgValue): boolean {
  const streams = list(dictionary(party)?.['medias']).flatMap((media) =>
    list(dictionary(media)?.['streams']),
  );
  return streams.some((stream) => dictionary(dictionary(stream)?.['advertised endpoint'])?.['address']);
}

function list(value: NgValue | undefined): readonly NgValue[] {
  return Array.isArray(value) ? value : [];
}

/** In rtpengine's words. */
function problemOf({ command, act, callId }: NgRequest): string | undefined {
  if (command === '') {
    return 'Dictionary contains no key "command"';
  }
  return !callId && (command === 'offer' || !mayLackCallId.has(act)) ? 'No call-id in message' : undefined;
}

function ownRequest(body: NgDictionary): NgRequest {
  return new NgRequest(parseMessage(encodeBody(body, 'bencode')));
}
