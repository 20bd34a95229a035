import { createSocket, type Socket } from 'node:dgram';
import test from 'ava';
import { freeTcpPorts, freeUdpBlock } from '../../support/ports.js';

/** Undefined if another process has the port. */
function bound(port: number): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.once('error', () => resolve(undefined));
    socket.bind({ port, address: '127.0.0.1', exclusive: true }, () => resolve(socket));
  });
}

test.serial(
  'blocks begin at even ports and do not overlap, however many are asked for at once',
  async (t) => {
    const count = 16;
    const blocks = await Promise.all(Array.from({ length: 50 }, () => freeUdpBlock(count)));
    const ports = blocks.flatMap((first) => Array.from({ length: count }, (_, at) => first + at));
    t.is(new Set(ports).size, ports.length);
    t.true(blocks.every((first) => first % 2 === 0));
  },
);

test.serial('a block is found between ports that are in use', async (t) => {
  // One in ten: of blocks of 32 that are drawn at random hardly one in thirty would be free.
  const wanted = Array.from({ length: 1000 }, (_, at) => 20_000 + at * 10);
  const sockets = (await Promise.all(wanted.map(bound))).filter((socket) => socket !== undefined);
  t.teardown(() => {
    for (const socket of sockets) {
      socket.close();
    }
  });
  t.true(sockets.length > 500);
  const first = await freeUdpBlock(32);
  const used = sockets.map((socket) => socket.address().port);
  t.deepEqual(
    used.filter((port) => port >= first && port < first + 32),
    [],
  );
});

test.serial('no port is handed out twice', async (t) => {
  const ports = await freeTcpPorts(200);
  t.is(new Set(ports).size, 200);
});
