import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Scope } from './process.js';

export interface FakeRelay {
  readonly socket: Socket;
  readonly port: number;
  readonly heard: { cookie: string; body: string; remote: RemoteInfo }[];
  next(): Promise<{ cookie: string; body: string; remote: RemoteInfo }>;
  reply(to: { cookie: string; remote: RemoteInfo }, body: string): void;
  close(): Promise<void>;
}

/** A relay that answers only when the test says so. */
export async function fakeRelay(scope: Scope, port = 0, address = '127.0.0.1'): Promise<FakeRelay> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.bind(port, address);
  await once(socket, 'listening');
  const heard: FakeRelay['heard'] = [];
  let taken = 0;
  socket.on('message', (datagram, remote) => {
    const [cookie = '', ...rest] = datagram.toString().split(' ');
    heard.push({ cookie, body: rest.join(' '), remote });
    socket.emit('heard');
  });
  let open = true;
  const close = async () => {
    if (!open) {
      return;
    }
    open = false;
    socket.close();
    await once(socket, 'close');
  };
  scope.teardown(close);
  return {
    socket,
    port: socket.address().port,
    heard,
    close,
    async next() {
      for (;;) {
        const item = heard[taken];
        if (item) {
          taken++;
          return item;
        }
        await once(socket, 'heard');
      }
    },
    reply: ({ cookie, remote }, body) => socket.send(`${cookie} ${body}`, remote.port, remote.address),
  };
}
