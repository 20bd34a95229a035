import { encodeBody } from '../../../../services/control/ng/message.js';
import { audioSdp } from '../../../support/ng.js';
import type { Dialect } from '../control.js';
import type { ControlCommand } from '../job.js';

const sdp = audioSdp({ address: '192.0.2.1', port: 40_000 });
const done = encodeBody({ result: 'ok' }, 'bencode');
const doneWithSdp = encodeBody(
  { result: 'ok', sdp: audioSdp({ address: '127.0.0.1', port: 30_000 }) },
  'bencode',
);

const unknown = encodeBody({ result: 'error', 'error-reason': 'Unknown call-id' }, 'bencode');

/** As Kamailio's rtpengine module writes it. */
export const ngDialect: Dialect = {
  request: (command, callId) => encodeBody(bodyOf(command, callId), 'bencode'),
  reply: (request) => (request.includes('3:sdp') ? doneWithSdp : done),
  isDone: (reply) => reply.includes('2:ok'),
};

function bodyOf(command: ControlCommand, callId: string) {
  const inDialog = command !== 'offer';
  return {
    ...(command === 'query' || command === 'delete'
      ? {}
      : {
          supports: ['load limit'],
          sdp,
          ICE: 'remove',
          replace: ['origin', 'session-connection'],
          'received-from': ['IP4', '127.0.0.1'],
        }),
    'call-id': callId,
    'from-tag': 'caller-tag-4711',
    ...(inDialog ? { 'to-tag': 'callee-tag-0815' } : {}),
    command: command === 'reoffer' ? 'offer' : command,
  };
}

/** What a relay says that has ended the call of the request. */
export function replyOfEnded(request: Buffer): Buffer {
  return request.includes('7:command5:query') ? unknown : ngDialect.reply(request);
}

/** The Call-ID of a request; empty if it names none. */
export function callIdIn(request: Buffer): string {
  const at = request.indexOf('7:call-id');
  const [name = '', length = '0'] = /^7:call-id(\d+):/.exec(request.toString('latin1', at, at + 20)) ?? [];
  return request.toString('latin1', at + name.length, at + name.length + Number(length));
}
