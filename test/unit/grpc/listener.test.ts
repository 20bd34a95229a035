import { once } from 'node:events';
import { connect, type Server, type Socket } from 'node:net';
import { promisify } from 'node:util';
import test from 'ava';
import { Listener } from '../../../services/grpc/listener.js';
import { systemClock } from '../../../services/runtime/clock.js';
import { ManualClock } from '../../support/clock.js';
import { openLog } from '../../support/replica.js';
import { serverAt } from '../../support/server.js';

test('errors of accept are logged, and the next connection is accepted', async (t) => {
  const { log, lines } = openLog();
  const listener = new Listener({
    listen: { host: '127.0.0.1', port: 0 },
    tls: undefined,
    asksClients: false,
    clock: systemClock,
    log,
  });
  const accepted: Socket[] = [];
  await listener.start((socket) => accepted.push(socket));
  t.teardown(() => listener.stop());
  const port = Number(listener.address.split(':').at(-1));
  const open = async () => {
    const socket = connect(port, '127.0.0.1');
    t.teardown(() => void socket.destroy());
    socket.on('data', () => {});
    await once(socket, 'connect');
    socket.end('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    await once(socket, 'close');
  };
  const accept = async () => {
    const before = accepted.length;
    const opened = open();
    while (accepted.length === before) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    accepted.at(-1)?.end();
    accepted.at(-1)?.resume();
    await opened;
  };
  await accept();
  const { server } = accepted[0] as Socket & { readonly server: Server };
  for (let i = 0; i < 3; i++) {
    server.emit('error', new Error('accept EMFILE'));
  }
  await accept();
  t.is(accepted.length, 2);
  t.deepEqual(
    lines.map(({ msg, reason }) => [msg, reason]),
    [['cannot accept a connection', 'accept EMFILE']],
    'one line for a flood of them',
  );
});

test('a connection that does not begin to speak HTTP/2 in time is closed, and one line says so', async (t) => {
  const { log, lines } = openLog();
  const clock = new ManualClock();
  const listen = { host: '127.0.0.1', port: 0 };
  const listener = new Listener({ listen, tls: undefined, asksClients: false, clock, log });
  await listener.start(() => t.fail());
  t.teardown(() => listener.stop());
  const port = Number(listener.address.split(':').at(-1));
  const sockets = ['', 'PRI * HTTP'].map((text) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    t.teardown(() => void socket.destroy());
    // What was sent is not read, so that it is reset.
    return socket.on('error', () => {}).resume();
  });
  const server = serverAt(listener.address);
  while ((await promisify(server.getConnections.bind(server))()) < sockets.length) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  const closed = Promise.all(
    sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve))),
  );
  clock.advance(10_000);
  await closed;
  t.deepEqual(
    lines.map(({ msg, reason }) => [msg, reason]),
    [['connection closed', 'it did not begin to speak HTTP/2 within 10 s']],
  );
});
