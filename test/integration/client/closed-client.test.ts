import { once } from 'node:events';
import { createServer as createHttp2Server } from 'node:http2';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { status } from '@grpc/grpc-js';
import test, { type ExecutionContext } from 'ava';
import { RetryInfo } from '../../../proto/generated/google/rpc/error_details.js';
import { Status } from '../../../proto/generated/google/rpc/status.js';
import { HoldfastClient, HoldfastRpcError } from '../../../services/client/index.js';
import { freeTcpPort } from '../../support/ports.js';
import { type Scope, startProcess } from '../../support/process.js';

/** A client that is closed, whatever its servers are doing. */

const patient = { attemptTimeoutMs: 100_000 };

async function listening(scope: Scope, server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  scope.teardown(() => void server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Accepts connections and says nothing, as a process that is suspended. */
async function silentServer(scope: Scope) {
  const server = createServer((socket) => void socket.resume().on('error', () => {}));
  return { server, target: await listening(scope, server) };
}

const requests: Readonly<Record<string, (client: HoldfastClient) => Promise<unknown>>> = {
  select: (client) => client.select({ callId: 'c1' }),
  'select in a stream': (client) => client.selectStream().select({ callId: 'c1' }),
  lookup: (client) => client.lookup({ callId: 'c1' }),
  'watch of relays': (client) => client.watchRelays().next(),
};

async function assertClosed(t: ExecutionContext, request: Promise<unknown>): Promise<void> {
  const error = await t.throwsAsync(request, { instanceOf: HoldfastRpcError });
  t.is(error.code, status.CANCELLED);
  t.is(error.message, 'this client is closed');
}

for (const [name, ask] of Object.entries(requests)) {
  test(`${name}, while the server has not said anything`, async (t) => {
    const { server, target } = await silentServer(t);
    const client = new HoldfastClient(target, patient);
    const connection = once(server, 'connection');
    const asked = ask(client);
    const [socket] = (await connection) as [Socket];
    const ended = once(socket, 'close');
    server.on('connection', () => t.fail('it connected again'));
    client.close();
    await assertClosed(t, asked);
    await ended;
    await assertClosed(t, ask(client));
  });

  test(`${name}, which the server does not answer`, async (t) => {
    const server = createHttp2Server();
    const target = await listening(t, server);
    const client = new HoldfastClient(target, patient);
    const stream = once(server, 'stream');
    const asked = ask(client);
    const [{ session }] = await stream;
    const ended = once(session, 'close');
    client.close();
    await assertClosed(t, asked);
    await ended;
  });

  test(`${name}, before it has begun`, async (t) => {
    const client = new HoldfastClient(`127.0.0.1:${await freeTcpPort()}`, { ...patient, attempts: 1e9 });
    const asked = ask(client);
    setImmediate(() => client.close());
    await assertClosed(t, asked);
  });
}

test('a request that waits before its next attempt', async (t) => {
  const server = createHttp2Server();
  const retryInfo = RetryInfo.encode({ retryDelay: { seconds: 1_000_000n, nanos: 0 } }).finish();
  const detail = { typeUrl: 'type.googleapis.com/google.rpc.RetryInfo', value: Buffer.from(retryInfo) };
  const details = Status.encode({ code: status.UNAVAILABLE, message: '', details: [detail] }).finish();
  server.on('stream', (stream) =>
    stream.respond(
      {
        ':status': 200,
        'content-type': 'application/grpc',
        'grpc-status': status.UNAVAILABLE,
        'grpc-status-details-bin': Buffer.from(details).toString('base64'),
      },
      { endStream: true },
    ),
  );
  const client = new HoldfastClient(await listening(t, server), patient);
  const answered = once(server, 'stream').then(([stream]) => once(stream, 'close'));
  const asked = client.select({ callId: 'c1' });
  await answered;
  client.close();
  await assertClosed(t, asked);
});

test('a watch that has begun', async (t) => {
  const server = createHttp2Server();
  server.on('stream', (stream) => {
    stream.on('error', () => {});
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
    stream.write(Buffer.alloc(5)); // an empty message
  });
  const client = new HoldfastClient(await listening(t, server), patient);
  const watch = client.watchRelays();
  await watch.next();
  const next = watch.next();
  client.close();
  await assertClosed(t, next);
});

test('nothing of it keeps the process', async (t) => {
  const silent = await silentServer(t);
  const module = new URL('../../../services/client/index.js', import.meta.url);
  const script = `
    import { HoldfastClient } from ${JSON.stringify(module.href)};
    const targets = ${JSON.stringify([silent.target, `127.0.0.1:${await freeTcpPort()}`])};
    const client = new HoldfastClient(targets, { attemptTimeoutMs: 1e6, attempts: 1e6 });
    const requests = [client.select({ callId: 'c1' }), client.selectStream().select({ callId: 'c2' })];
    process.stdin.once('data', async () => {
      process.stdin.destroy();
      client.close();
      const ends = await Promise.allSettled(requests);
      console.log(ends.map(({ reason }) => reason.message).join(', '));
    });
  `;
  const connection = once(silent.server, 'connection');
  const args = ['--input-type=module', '--eval', script];
  const program = await startProcess(t, process.execPath, args, { interactive: true });
  await connection;
  program.type('close\n');
  t.deepEqual(await program.exited, { code: 0, signal: null }, program.output);
  t.is(program.output, 'this client is closed, this client is closed\n');
});
