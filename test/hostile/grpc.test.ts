import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { credentials } from '@grpc/grpc-js';
import type { ExecutionContext } from 'ava';
import { SelectRequest, SelectStreamRequest } from '../../proto/generated/holdfast/v1/selection.js';
import { Authority } from '../support/certificates.js';
import { startRealEtcd } from '../support/etcd.js';
import { eventually } from '../support/registry.js';
import { testWith } from '../support/requirement.js';
import { startRelayNode, startReplica } from '../support/stack.js';
import { Attacker, flood } from './attacker.js';
import { goodClient } from './good-client.js';
import {
  call,
  flag,
  frame,
  frameType,
  grpcMessage,
  preface,
  requestHeaders,
  unfinishedCall,
} from './http2-frames.js';
import { wait, withstand } from './target.js';

const select = '/holdfast.v1.SelectionService/Select';
const selectStream = '/holdfast.v1.SelectionService/SelectStream';
const hello = Buffer.concat([preface, frame(frameType.settings, 0, 0)]);

async function scene(t: ExecutionContext, env: Readonly<Record<string, string>> = {}) {
  const etcd = await startRealEtcd(t);
  await startRelayNode(t, { id: 'r1', etcd: etcd.endpoint });
  const replica = await startReplica(t, etcd.endpoint, env);
  return { replica, attacker: new Attacker(t, replica.grpc) };
}

function floodAll(sockets: readonly Socket[], next: () => () => Buffer, durationMs: number) {
  return Promise.all(sockets.map((socket) => flood(socket, next(), durationMs)));
}

async function greet(attacker: Attacker, count: number, reads: boolean): Promise<Socket[]> {
  const sockets: Socket[] = [];
  for (let i = 0; i < count; i++) {
    const socket = await attacker.connect({ reads });
    if (socket) {
      socket.write(hello);
      sockets.push(socket);
    }
  }
  return sockets;
}

function streamIds() {
  let id = -1;
  return () => (id += 2);
}

testWith.serial(
  ['etcd'],
  '10,000 silent connections: closed in time, and good clients are served',
  async (t) => {
    const { replica, attacker } = await scene(t);
    await withstand(
      t,
      replica.process,
      async () => {
        await attacker.connectMany(10_000);
        // 10 s after the last one was accepted.
        await eventually(() => attacker.open === 0, 'end of all of them');
      },
      { goodClient: goodClient(replica.grpc), end: () => attacker.leave() },
    );
  },
);

testWith.serial(
  ['etcd', 'openssl'],
  '10,000 half-open TLS handshakes: closed in time, and good clients are served',
  async (t) => {
    const authority = await Authority.create(t);
    const server = await authority.issue({ names: ['localhost'], addresses: ['127.0.0.1'] });
    const { replica, attacker } = await scene(t, {
      HOLDFAST_GRPC_TLS_CERT: server.cert,
      HOLDFAST_GRPC_TLS_KEY: server.key,
    });
    const half = await clientHello();
    const secure = { credentials: credentials.createSsl(await readFile(authority.ca)) };
    await withstand(
      t,
      replica.process,
      async () => {
        await attacker.connectMany(10_000, (socket) => socket.write(half));
        // 10 s after the last one was accepted.
        await eventually(() => attacker.open === 0, 'end of all of them');
      },
      { goodClient: goodClient(replica.grpc, secure), end: () => attacker.leave(), growthMib: 112 },
    );
  },
);

testWith.serial(['etcd'], '10,000 connections that greet and then ask nothing', async (t) => {
  const { replica, attacker } = await scene(t);
  await withstand(
    t,
    replica.process,
    async () => {
      await attacker.connectMany(10_000, (socket) => socket.write(hello));
      await wait(2000);
    },
    { goodClient: goodClient(replica.grpc), end: () => attacker.leave(), growthMib: 144 },
  );
});

testWith.serial(['etcd'], 'replies that nobody reads', async (t) => {
  const { replica, attacker } = await scene(t);
  const request = SelectRequest.encode(SelectRequest.fromPartial({ callId: 'known' })).finish();
  await withstand(
    t,
    replica.process,
    async () => {
      const sockets = await greet(attacker, 10, false);
      await floodAll(
        sockets,
        () => {
          const id = streamIds();
          return () => Buffer.concat(Array.from({ length: 100 }, () => call(id(), select, request)));
        },
        12_000,
      );
    },
    { goodClient: goodClient(replica.grpc), end: () => attacker.leave(), growthMib: 128 },
  );
});

testWith.serial(['etcd'], '198,000 requests that never end', async (t) => {
  const { replica, attacker } = await scene(t);
  await withstand(
    t,
    replica.process,
    async () => {
      const sockets = await greet(attacker, 20, true);
      for (const socket of sockets) {
        const id = streamIds();
        for (let sent = 0; sent < 9900; sent += 100) {
          socket.write(Buffer.concat(Array.from({ length: 100 }, () => unfinishedCall(id(), select))));
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
      await wait(5000);
    },
    { goodClient: goodClient(replica.grpc), end: () => attacker.leave() },
  );
});

testWith.serial(['etcd'], 'half a request of 60 KiB on every stream', async (t) => {
  const { replica, attacker } = await scene(t);
  const part = Buffer.alloc(16_000);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(60_000, 1);
  await withstand(
    t,
    replica.process,
    async () => {
      const sockets = await greet(attacker, 20, true);
      await floodAll(
        sockets,
        () => {
          const id = streamIds();
          return () => {
            const stream = id();
            return Buffer.concat([
              unfinishedCall(stream, select),
              frame(frameType.data, 0, stream, head),
              ...[1, 2, 3].map(() => frame(frameType.data, 0, stream, part)),
            ]);
          };
        },
        8000,
      );
    },
    { goodClient: goodClient(replica.grpc), end: () => attacker.leave(), growthMib: 96 },
  );
});

testWith.serial(['etcd'], 'streams whose answers nobody reads', async (t) => {
  const { replica, attacker } = await scene(t);
  let requests = 0;
  await withstand(
    t,
    replica.process,
    async () => {
      const sockets = await greet(attacker, 8, true);
      await floodAll(
        sockets,
        () => {
          const id = streamIds();
          const streams = Array.from({ length: 100 }, id);
          let begun = 0;
          return () => {
            const stream = streams[begun % streams.length] as number;
            const open = begun < streams.length ? [unfinishedCall(stream, selectStream)] : [];
            begun++;
            const messages = Array.from({ length: 50 }, () => {
              const request = SelectRequest.fromPartial({ callId: 'known', requestId: `r${requests++}` });
              return grpcMessage(SelectStreamRequest.encode({ request }).finish());
            });
            return Buffer.concat([...open, frame(frameType.data, 0, stream, Buffer.concat(messages))]);
          };
        },
        8000,
      );
    },
    { goodClient: goodClient(replica.grpc), end: () => attacker.leave(), growthMib: 128 },
  );
});

testWith.serial(['etcd'], 'metadata of megabytes, whole and in pieces', async (t) => {
  const { replica, attacker } = await scene(t);
  const pad = 'x'.repeat(15_000);
  await withstand(
    t,
    replica.process,
    async () => {
      const sockets = await greet(attacker, 20, true);
      await floodAll(
        sockets,
        () => {
          const id = streamIds();
          return () => {
            const stream = id();
            const block = requestHeaders(select, [['x', pad]]);
            return Buffer.concat([
              frame(frameType.headers, 0, stream, block),
              ...[1, 2, 3].map((i) =>
                frame(
                  frameType.continuation,
                  i === 3 ? flag.endHeaders : 0,
                  stream,
                  requestHeaders(select, [['y', pad]]).subarray(-15_010),
                ),
              ),
            ]);
          };
        },
        3000,
      );
      const endless = await greet(attacker, 20, true);
      await floodAll(
        endless,
        () => {
          let begun = false;
          return () => {
            const first = !begun;
            begun = true;
            return first
              ? frame(frameType.headers, 0, 1, requestHeaders(select))
              : frame(frameType.continuation, 0, 1, Buffer.alloc(0));
          };
        },
        3000,
      );
    },
    { goodClient: goodClient(replica.grpc), end: () => attacker.leave() },
  );
});

for (const [name, next] of [
  [
    'requests that are reset at once',
    () => {
      const id = streamIds();
      return () =>
        Buffer.concat(
          Array.from({ length: 100 }, () => {
            const stream = id();
            return Buffer.concat([
              unfinishedCall(stream, select),
              frame(frameType.resetStream, 0, stream, Buffer.of(0, 0, 0, 8)),
            ]);
          }),
        );
    },
  ],
  [
    'pings',
    () => () =>
      Buffer.concat(Array.from({ length: 500 }, () => frame(frameType.ping, 0, 0, Buffer.alloc(8)))),
  ],
  [
    'settings',
    () => () =>
      Buffer.concat(
        Array.from({ length: 500 }, () => frame(frameType.settings, 0, 0, Buffer.of(0, 3, 0, 0, 0, 100))),
      ),
  ],
  ['junk', () => () => Buffer.alloc(65_536, 'junk')],
] as const satisfies readonly (readonly [string, () => () => Buffer])[]) {
  testWith.serial(['etcd'], `a flood of ${name}`, async (t) => {
    const { replica, attacker } = await scene(t);
    await withstand(
      t,
      replica.process,
      async () => {
        for (const reads of [true, false]) {
          // One that is cut off comes again.
          const again = async () => {
            const deadline = performance.now() + 3000;
            while (performance.now() < deadline) {
              const [socket] = await greet(attacker, 1, reads);
              if (socket) {
                await flood(socket, next(), deadline - performance.now());
                socket.destroy();
              }
            }
          };
          await Promise.all(Array.from({ length: 10 }, again));
        }
      },
      {
        goodClient: goodClient(replica.grpc),
        end: () => attacker.leave(),
        ...(name === 'requests that are reset at once' && { growthMib: 144 }),
      },
    );
  });
}

/** What a client sends first. */
async function clientHello(): Promise<Buffer> {
  const { createServer } = await import('node:net');
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const connection = once(server, 'connection');
  const client = tlsConnect({
    port: (server.address() as { port: number }).port,
    host: '127.0.0.1',
    ALPNProtocols: ['h2'],
  });
  client.on('error', () => {});
  const [socket] = (await connection) as [Socket];
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return bytes;
}
