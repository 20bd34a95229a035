import { createSocket } from 'node:dgram';
import { callIdIn, ngDialect, replyOfEnded } from '../load/dialects/ng.js';

/** A relay that does at once what it is told by ng, and knows no call that it was told to end. Argument: port. */
const [port = 0] = process.argv.slice(2).map(Number);
const bufferBytes = 4 << 20;
const ended = new Set<string>();
const socket = createSocket('udp4');

socket.on('message', (datagram, remote) => {
  const end = datagram.indexOf(0x20) + 1;
  const request = datagram.subarray(end);
  const callId = callIdIn(request);
  const reply = ended.has(callId) ? replyOfEnded(request) : ngDialect.reply(request);
  if (request.includes('7:command6:delete')) {
    ended.add(callId);
  }
  socket.send(Buffer.concat([datagram.subarray(0, end), reply]), remote.port, remote.address);
});
socket.bind(port, '127.0.0.1', () => {
  socket.setRecvBufferSize(bufferBytes);
  process.stdout.write('listening\n');
});
