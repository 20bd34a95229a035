import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import test, { type ExecutionContext } from 'ava';
import { UdpClient } from '../../../../services/control/udp/client.js';
import { UdpServer, type UdpService } from '../../../../services/control/udp/server.js';
import { systemClock } from '../../../../services/runtime/clock.js';
import { ShiftedClock } from '../../../support/clock.js';

/** A protocol of words: nothing of ng. */
const words: UdpService<string> = {
  protocol: 'words',
  read: (body) => {
    const word = body.toString();
    if (word === '') {
      return { kind: 'ignored' };
    }
    return word.startsWith('!')
      ? { kind: 'refused', reply: Buffer.from('E1') }
      : { kind: 'request', request: word };
  },
  handle: async (word, { listener }) =>
    word === 'long' ? Buffer.alloc(65_507) : Buffer.from(`${listener} ${word}`),
  refuse: (_, reason) => Buffer.from(`E0 ${reason}`),
};

async function started(t: ExecutionContext, listen = [{ host: '127.0.0.1', port: 0 }], clock = systemClock) {
  const server = new UdpServer({ listen, service: words, clock });
  await server.start();
  t.teardown(() => server.stop());
  const clients = server.addresses().map((address) => new UdpClient(address));
  t.teardown(() => Promise.all(clients.map((client) => client.stop())));
  return { server, clients };
}

const answer = async (client: UdpClient | undefined, word: string) =>
  (await client?.request(Buffer.from(word)))?.toString();

test('any protocol of datagrams with cookies can be served', async (t) => {
  const { server, clients } = await started(t, [
    { host: '127.0.0.1', port: 0 },
    { host: '::1', port: 0 },
  ]);
  t.is(await answer(clients[0], 'hello'), '0 hello');
  t.is(await answer(clients[1], 'hello'), '1 hello', 'it is told where it was asked');
  t.is(await answer(clients[0], '!'), 'E1');
  t.regex((await answer(clients[0], 'long')) ?? '', /^E0 Reply of 655\d\d bytes does not fit a datagram$/);
  t.is(server.counters.malformed, 1);
  t.is(server.counters.oversizedReplies, 1);
});

test('what is no request is dropped, with or without a cookie', async (t) => {
  const { server, clients } = await started(t);
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.teardown(() => socket.close());
  const to = server.addresses()[0];
  for (const datagram of ['', 'cookie', 'cookie ', ' x']) {
    socket.send(datagram, to?.port ?? 0, to?.host);
  }
  while (server.counters.received < 4) {
    await answer(clients[0], 'hello');
  }
  t.is(server.counters.dropped, 4);
});

test('what came while the process stood still is not taken for new', async (t) => {
  const clock = new ShiftedClock();
  const { server, clients } = await started(t, undefined, clock);
  t.is(await answer(clients[0], 'before'), '0 before');
  const [address] = server.addresses();
  const proxy = createSocket('udp4');
  t.teardown(() => proxy.close());
  proxy.connect(address?.port ?? 0, address?.host);
  await once(proxy, 'connect');
  for (const word of ['a', 'b', 'c']) {
    proxy.send(`${word} ${word}`);
  }
  // Nothing of this process ran for so long, as far as its clock tells.
  clock.putForward(2000);
  while (server.counters.old < 3) {
    await new Promise(setImmediate);
  }
  t.is(server.counters.replied, 1);
  t.is(await answer(clients[0], 'after'), '0 after', 'it asks again, if need be');
});

test('long requests in progress are fewer than short ones', async (t) => {
  let end = () => {};
  const over = new Promise<void>((resolve) => (end = resolve));
  const service = { ...words, handle: () => over.then(() => Buffer.from('done')) };
  const listen = [{ host: '127.0.0.1', port: 0 }];
  const server = new UdpServer({ listen, service, maxInFlightBytes: 10_000 });
  await server.start();
  t.teardown(() => server.stop());
  const [address = { host: '', port: 0 }] = server.addresses();
  const client = new UdpClient({ ...address, timeoutMs: 60_000 });
  t.teardown(() => client.stop());
  // With its cookie each has more than 1,000 bytes.
  const long = Array.from({ length: 9 }, () => answer(client, 'x'.repeat(1000)));
  while (server.inFlight < 9) {
    await answer(client, '!');
  }
  t.is(await answer(client, 'x'.repeat(1000)), 'E0 Too many requests');
  const short = answer(client, 'x');
  end();
  t.deepEqual(new Set(await Promise.all([...long, short])), new Set(['done']));
  t.is(await answer(client, 'x'.repeat(1000)), 'done', 'there is room again');
});
