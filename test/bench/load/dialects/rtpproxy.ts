import type { Dialect } from '../control.js';
import type { ControlCommand } from '../job.js';

const [caller, callee] = ['caller-tag-4711', 'callee-tag-0815'];
const media = '192.0.2.1 40000';
const port = Buffer.from('30000\n');
const done = Buffer.from('0\n');
const query = Buffer.from('60 0 0 0 0\n');

/** As Kamailio's rtpproxy module writes it. */
export const rtpproxyDialect: Dialect = {
  request: (command, callId) => Buffer.from(textOf(command, callId)),
  reply: ([letter = 0]) => replies.get(letter) ?? done,
  isDone: (reply) => reply.length > 0 && reply[0] !== 'E'.charCodeAt(0),
};

const replies = new Map([
  ['U'.charCodeAt(0), port],
  ['L'.charCodeAt(0), port],
  ['Q'.charCodeAt(0), query],
]);

function textOf(command: ControlCommand, callId: string): string {
  switch (command) {
    case 'offer':
      return `Uc8,0,101 ${callId} ${media} ${caller};1`;
    case 'reoffer':
      return `Uc8,0,101 ${callId} ${media} ${caller};1 ${callee};1`;
    case 'answer':
      return `Lc8,0,101 ${callId} ${media} ${caller};1 ${callee};1`;
    case 'query':
      return `Q ${callId} ${caller};1 ${callee};1`;
    case 'delete':
      return `D ${callId} ${caller} ${callee}`;
  }
}
