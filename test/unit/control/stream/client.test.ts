import { createServer, type Socket } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import {
  StreamClient,
  StreamClientError,
  type StreamClientOptions,
} from '../../../../services/control/stream/client.js';
import { freeTcpPort } from '../../../support/ports.js';
import { eventually } from '../../../support/registry.js';

const bytes = (text: string) => Buffer.from(text, 'latin1');
const failure = (code: string) => ({ instanceOf: StreamClientError, code });
const info =
  'sessions created: 1\nactive sessions: 0\nactive streams: 0\npackets received: 0\npackets transmitted: 0\n';

/** An rtpproxy over TCP that does with each line of a connection what a test says. */
async function scene(
  t: ExecutionContext,
  answer: (line: string, socket: Socket) => void,
  options: Partial<StreamClientOptions> = {},
) {
  const open = new Set<Socket>();
  const seen = { lines: [] as string[], connections: 0 };
  const server = createServer((socket) => {
    seen.connections++;
    open.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => open.delete(socket));
    socket.on('data', (data) => {
      for (const line of data.toString('latin1').split('\n').slice(0, -1)) {
        seen.lines.push(line);
        answer(line, socket);
      }
    });
  });
  const port = await freeTcpPort();
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port }, resolve));
  const client = new StreamClient({ address: { host: '127.0.0.1', port }, ...options });
  t.teardown(async () => {
    await client.stop();
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of open) {
      socket.destroy();
    }
    await closed;
  });
  const ask = async (command: string, timeoutMs = 5000) =>
    (await client.request(bytes(command), { timeoutMs })).toString('latin1');
  return { client, seen, open, ask };
}

test('one connection serves one request after the other; a reply may come in pieces, and have several lines', async (t) => {
  const { ask, seen } = await scene(t, (line, socket) => {
    for (const character of line.startsWith('I')
      ? `${info}${line === 'Il' ? 'average load: 0.1\n' : ''}`
      : `${line}\n`) {
      socket.write(character);
    }
  });
  t.is(await ask('V'), 'V\n');
  t.is(await ask('U c 192.0.2.1 4000 f\r\n'), 'U c 192.0.2.1 4000 f\n');
  t.is(await ask('Ib'), info);
  t.is(await ask('Il'), `${info}average load: 0.1\n`);
  t.deepEqual(seen, { lines: ['V', 'U c 192.0.2.1 4000 f', 'Ib', 'Il'], connections: 1 });
});

test('requests at the same time have their own connections, up to a limit; the others wait', async (t) => {
  const held: (() => void)[] = [];
  const { client, ask, seen } = await scene(
    t,
    (line, socket) => void held.push(() => socket.write(`${line}\n`)),
    { maxConnections: 2, maxOutstanding: 3 },
  );
  const asked = ['1', '2', '3'].map((line) => ask(line));
  await t.throwsAsync(ask('4'), failure('overloaded'));
  await eventually(() => held.length === 2, 'two requests');
  t.is(client.connections, 2);
  for (const reply of held.splice(0)) {
    reply();
  }
  await eventually(() => held.length === 1, 'the third one');
  held[0]?.();
  t.deepEqual(await Promise.all(asked), ['1\n', '2\n', '3\n']);
  t.is(seen.connections, 2);
});

test('a reply that comes too late answers no other request', async (t) => {
  const sockets: Socket[] = [];
  const { ask, client } = await scene(t, (line, socket) => {
    sockets.push(socket);
    if (line !== 'slow') {
      socket.write(`${line}\n`);
    }
  });
  await t.throwsAsync(ask('slow', 50), failure('timeout'));
  sockets[0]?.write('late\n');
  t.is(await ask('next'), 'next\n');
  await eventually(() => client.connections === 1, 'end of the first connection');
});

test('a relay that closes connections between requests is asked over another one', async (t) => {
  const { ask, open, seen } = await scene(t, (line, socket) => void socket.write(`${line}\n`));
  t.is(await ask('1'), '1\n');
  for (const socket of open) {
    socket.destroy();
  }
  t.is(await ask('2'), '2\n');
  t.is(seen.connections, 2);
});

test('whoever cuts a connection, or answers what nobody asked, is told apart from an rtpproxy', async (t) => {
  const { ask, client } = await scene(t, (line, socket) => {
    if (line === 'cut') {
      socket.destroy();
    } else if (line === 'flood') {
      socket.write('x'.repeat(100_000));
    } else {
      socket.write(`${line}\nmore\n`);
    }
  });
  await t.throwsAsync(ask('cut'), failure('refused'));
  await t.throwsAsync(ask('flood'), failure('malformed'));
  t.is(await ask('twice'), 'twice\nmore\n');
  await t.throwsAsync(ask('two\nlines'), failure('malformed'));
  await client.stop();
  await t.throwsAsync(ask('late'), failure('closed'));
});

test('an address that nobody listens at refuses at once; a stop ends what waits', async (t) => {
  const refused = new StreamClient({ address: { host: '127.0.0.1', port: await freeTcpPort() } });
  await t.throwsAsync(refused.request(bytes('V')), { ...failure('refused'), message: /ECONNREFUSED/ });
  const missing = new StreamClient({ address: { path: '/nowhere/rtpproxy.sock' } });
  await t.throwsAsync(missing.request(bytes('V')), { ...failure('refused'), message: /ENOENT/ });
  const { client, ask } = await scene(t, () => {});
  const waiting = t.throwsAsync(ask('V'), failure('closed'));
  await client.stop();
  await waiting;
});
