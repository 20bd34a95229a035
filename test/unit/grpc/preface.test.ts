import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { afterPreface } from '../../../services/grpc/preface.js';

const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

async function pair(t: ExecutionContext): Promise<[client: Socket, server: Socket]> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => void server.close());
  const accepted = once(server, 'connection');
  const client = connect((server.address() as { port: number }).port, '127.0.0.1');
  client.on('error', () => {});
  t.teardown(() => void client.destroy());
  const [socket] = (await accepted) as [Socket];
  t.teardown(() => void socket.destroy());
  return [client, socket];
}

test('a preface that comes in pieces is left to be read, with what follows', async (t) => {
  const [client, server] = await pair(t);
  const proceeded = new Promise<void>((resolve) => afterPreface(server, resolve));
  client.setNoDelay();
  for (const piece of [preface.slice(0, 5), preface.slice(5, 20), `${preface.slice(20)}rest`]) {
    client.write(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await proceeded;
  let read = '';
  server.setEncoding('latin1').on('data', (text: string) => {
    read += text;
  });
  while (read.length < preface.length + 4) {
    await once(server, 'data');
  }
  t.is(read, `${preface}rest`);
});

for (const [name, text] of [
  ['HTTP/1.1', 'GET / HTTP/1.1\r\n'],
  ['one wrong byte', `${preface.slice(0, 23)}x`],
  ['nothing', ''],
] as const) {
  test(`whoever sends something else is closed at once: ${name}`, async (t) => {
    const [client, server] = await pair(t);
    afterPreface(server, () => t.fail());
    client.end(text);
    client.resume();
    await once(client, 'close');
    t.true(server.destroyed);
  });
}
