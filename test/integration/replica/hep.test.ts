import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { readHep, textOf } from '../../support/hep.js';
import { freeUdpPort } from '../../support/ports.js';
import { startProcess } from '../../support/process.js';
import { eventually } from '../../support/registry.js';
import { move, replicaScene, select } from '../../support/replica.js';
import { testWith } from '../../support/requirement.js';

const callId = 'a84b4c76e66710@pc33.example.org';
const query = `5_1 d7:command5:query7:call-id${callId.length}:${callId}e`;

/** A collector of HEP: the chunks of what has come. */
async function collector(t: ExecutionContext) {
  const socket = createSocket('udp4');
  t.teardown(() => new Promise<void>((resolve) => socket.close(() => resolve())));
  const packets: ReadonlyMap<number, Buffer>[] = [];
  socket.on('message', (packet) => packets.push(readHep(packet)));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  return { packets, port };
}

/** Sends one command to the ng gateway. @returns the reply, and the port that it was asked from */
async function ask(t: ExecutionContext, gateway: string, datagram: string) {
  const socket = createSocket('udp4');
  t.teardown(() => new Promise<void>((resolve) => socket.close(() => resolve())));
  const [host, port] = gateway.split(':');
  socket.send(datagram, Number(port), host);
  const [reply] = (await once(socket, 'message')) as [Buffer];
  return { reply: reply.toString(), port: socket.address().port };
}

test('each event of a call is a line for Homer, found by the Call-ID', async (t) => {
  const { packets, port } = await collector(t);
  const { selection, lines, http } = await replicaScene(
    t,
    [{ id: 'r1', controlUrl: 'udp:192.0.2.11:2223' }, { id: 'r2' }],
    {
      HOLDFAST_HEP: `127.0.0.1:${port}`,
      HOLDFAST_HEP_ID: '77',
    },
  );
  await eventually(() => lines.some(({ msg }) => msg === 'sending HEP'), 'the address of the collector');
  await select(selection, { callId, excludedRelayIds: ['r2'] });
  await move(selection, { callId, generation: 1n, reason: 'one-way audio' });
  await eventually(() => packets.length >= 2, 'two lines');
  const [bound, moved] = packets as [ReadonlyMap<number, Buffer>, ReadonlyMap<number, Buffer>];
  t.is(textOf(bound, 0x0f), 'holdfast: bound to default/r1, generation 1');
  t.is(textOf(moved, 0x0f), 'holdfast: moved from r1 to default/r2, generation 2: one-way audio, by client');
  t.deepEqual(
    packets.map((chunks) => textOf(chunks, 0x11)),
    [callId, callId],
  );
  t.deepEqual(bound.get(11), Buffer.of(100));
  t.is(bound.get(12)?.readUInt32BE(), 77);
  t.deepEqual(bound.get(4), Buffer.of(192, 0, 2, 11), 'the relay');
  t.is(bound.get(8)?.readUInt16BE(), 2223);
  const metrics = await (await fetch(`http://${http}/metrics`)).text();
  t.regex(metrics, /^holdfast_hep_packets_total\{result="sent"\} 2$/m);
});

test('commands of the ng gateway and their replies are mirrored on request, as they were', async (t) => {
  const { packets, port } = await collector(t);
  const { replica, lines } = await replicaScene(t, [{ id: 'r1' }], {
    HOLDFAST_HEP: `127.0.0.1:${port}`,
    HOLDFAST_HEP_NG: 'on',
    HOLDFAST_NG_LISTEN: '127.0.0.1:0',
  });
  await eventually(() => lines.some(({ msg }) => msg === 'sending HEP'), 'the address of the collector');
  const [gateway = ''] = replica.gatewayAddresses('ng');
  await ask(t, gateway, '5_0 d7:command4:pinge');
  const asked = await ask(t, gateway, query);
  await eventually(() => packets.length >= 2, 'the command and its reply');
  t.deepEqual(
    packets.map((chunks) => textOf(chunks, 0x0f)),
    [query, asked.reply],
    'a ping is about no call',
  );
  t.deepEqual(
    packets.map((chunks) => chunks.get(11)),
    [Buffer.of(0x3d), Buffer.of(0x3d)],
  );
  const ports = packets.map((chunks) => [7, 8].map((type) => chunks.get(type)?.readUInt16BE()));
  const gatewayPort = Number(gateway.split(':')[1]);
  t.deepEqual(ports, [
    [asked.port, gatewayPort],
    [gatewayPort, asked.port],
  ]);
});

test('a collector that is not there costs packets, and no call', async (t) => {
  const { selection, lines, http } = await replicaScene(t, [{ id: 'r1' }], {
    HOLDFAST_HEP: `127.0.0.1:${await freeUdpPort()}`,
  });
  await eventually(() => lines.some(({ msg }) => msg === 'sending HEP'), 'the socket');
  for (let call = 0; call < 20; call++) {
    t.is((await select(selection, { callId: `call-${call}` })).binding?.relay?.id, 'r1');
  }
  await eventually(async () => {
    const metrics = await (await fetch(`http://${http}/metrics`)).text();
    return /^holdfast_hep_packets_total\{result="failed"\} [1-9]/m.test(metrics);
  }, 'counted failures');
  const warnings = lines.filter(({ msg }) => msg === 'HEP cannot be sent');
  t.is(warnings.length, 1);
});

testWith(
  ['sngrep', 'tshark'],
  'sngrep reads what is told, and tshark the commands that it has kept',
  async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'holdfast-hep-'));
    t.teardown(() => rm(directory, { recursive: true, force: true }));
    const file = join(directory, 'calls.pcap');
    const port = await freeUdpPort();
    const sngrep = await startProcess(t, 'sngrep', ['-F', '-N', '-L', `udp:127.0.0.1:${port}`, '-O', file]);
    const socketOf = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
    await sngrep.waitUntil(
      async () => (await readFile('/proc/net/udp', 'utf8')).includes(socketOf),
      'its socket',
    );
    const { replica, selection, lines } = await replicaScene(
      t,
      [{ id: 'r1', controlUrl: 'udp:192.0.2.11:2223' }],
      {
        HOLDFAST_HEP: `127.0.0.1:${port}`,
        HOLDFAST_HEP_NG: 'on',
        HOLDFAST_NG_LISTEN: '127.0.0.1:0',
      },
    );
    await eventually(() => lines.some(({ msg }) => msg === 'sending HEP'), 'the address of sngrep');
    const [gateway = ''] = replica.gatewayAddresses('ng');
    await ask(t, gateway, query);
    await select(selection, { callId });
    await sngrep.waitUntil(
      async () => (await readFile(file, 'latin1')).includes('holdfast: bound'),
      'the line in its file',
    );
    await sngrep.stop();
    const decode = ['-d', `udp.port==${gateway.split(':')[1]},rtpproxy`];
    const fields = ['ip.dst', 'udp.dstport', '_ws.col.Protocol', 'bencode.str', 'udp.payload'].flatMap(
      (name) => ['-e', name],
    );
    const tshark = await startProcess(t, 'tshark', ['-n', '-r', file, ...decode, '-T', 'fields', ...fields]);
    const read = (await tshark.success()).split('\n').map((line) => line.split('\t'));
    const command = read.find(
      ([, , protocol, text]) => protocol === 'RTPproxy-ng' && text?.includes('query'),
    );
    t.true(command?.[3]?.includes(callId), JSON.stringify(read));
    const line = read.find(([address, toPort]) => address === '192.0.2.11' && toPort === '2223');
    t.is(Buffer.from(line?.[4] ?? '', 'hex').toString(), 'holdfast: bound to default/r1, generation 1');
  },
);
