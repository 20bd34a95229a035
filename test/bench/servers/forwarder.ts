import { createSocket } from 'node:dgram';

/**
 * The cost of UDP in Node alone: forwards datagrams to a relay and back, with a new cookie for the relay and the sender's
 * cookie in the reply. Arguments: port, port of the relay.
 */
const [port = 0, relayPort = 0] = process.argv.slice(2).map(Number);
const bufferBytes = 4 << 20;
const host = '127.0.0.1';
const numeric = (
  name: string,
  _options: unknown,
  callback: (error: null, address: string, family: number) => void,
) => callback(null, name, 4);

const front = createSocket({ type: 'udp4', lookup: numeric as never });
const back = createSocket('udp4');
const waiting = new Map<string, { readonly cookie: Buffer; readonly port: number }>();
let sequence = 0;

front.on('message', (datagram, remote) => {
  const end = datagram.indexOf(0x20);
  const key = `forward${(sequence++).toString(36)}`;
  waiting.set(key, { cookie: datagram.subarray(0, end), port: remote.port });
  back.send(Buffer.concat([Buffer.from(key), datagram.subarray(end)]));
});
back.on('message', (datagram) => {
  const end = datagram.indexOf(0x20);
  const key = datagram.toString('latin1', 0, end);
  const asked = waiting.get(key);
  if (!asked) {
    return;
  }
  waiting.delete(key);
  front.send(Buffer.concat([asked.cookie, datagram.subarray(end)]), asked.port, host);
});
back.connect(relayPort, host, () => {
  front.bind(port, host, () => {
    for (const socket of [front, back]) {
      socket.setRecvBufferSize(bufferBytes);
    }
    process.stdout.write('listening\n');
  });
});
