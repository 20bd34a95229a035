import { randomBytes } from 'node:crypto';
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import test, { type ExecutionContext } from 'ava';
import type { IWatchResponse } from 'etcd3';
import fc from 'fast-check';
import { EmbeddedEtcd } from '../../../services/embedded-etcd/embedded-etcd.js';
import { connect, Inbox, startEmbeddedEtcd } from '../../support/etcd.js';
import { serverAt } from '../../support/server.js';

const key = Buffer.from('k');

test('a port in use is named, with what to do', async (t) => {
  const { endpoint } = await startEmbeddedEtcd(t);
  const second = new EmbeddedEtcd({ port: Number(endpoint.split(':')[1]) });
  const error = await t.throwsAsync(second.start());
  t.true(error?.message.includes(endpoint));
  t.regex(error?.message ?? '', /choose another port/);
  await second.stop();
});

test('errors of accepting connections do not end the process', async (t) => {
  const { endpoint } = await startEmbeddedEtcd(t);
  const listener = serverAt(endpoint);
  for (let i = 0; i < 3; i++) {
    listener.emit('error', new Error('accept EMFILE'));
  }
  await t.notThrowsAsync(connect(t, endpoint).kv.put({ key, value: key }));
});

test('only loopback addresses are served', async (t) => {
  for (const host of ['0.0.0.0', '::', '192.0.2.1', 'example.net', '']) {
    t.throws(() => new EmbeddedEtcd({ host }), { message: /no authentication/ }, host);
  }
  const server = new EmbeddedEtcd({ host: 'localhost' });
  await server.start();
  t.regex(server.endpoint, /^127\.0\.0\.1:\d+$/);
  await server.stop();
});

test('stop frees the port, ends open streams and is idempotent', async (t) => {
  const { endpoint, stop } = await startEmbeddedEtcd(t);
  const client = connect(t, endpoint);
  const stream = await client.watchClient.watch();
  const ended = new Promise<Error>((resolve) => stream.on('error', resolve));
  const inbox = new Inbox<IWatchResponse>(stream);
  stream.write({ create_request: { key } });
  await inbox.next();
  await Promise.all([stop(), stop()]);
  t.regex((await ended).message, /^14 UNAVAILABLE: /);
  const successor = new EmbeddedEtcd({ port: Number(endpoint.split(':')[1]) });
  await successor.start();
  await successor.stop();
  await t.notThrowsAsync(new EmbeddedEtcd().stop());
});

test('space is bounded: puts are refused, deletions make room', async (t) => {
  const { endpoint } = await startEmbeddedEtcd(t, { quotaBytes: 1_000_000, maxHistoryEvents: 10 });
  const { kv, leaseClient } = connect(t, endpoint);
  const value = Buffer.alloc(300_000);
  const put = (name: string) => kv.put({ key: Buffer.from(name), value });
  for (const name of ['1', '2', '3']) {
    await put(name);
  }
  const noSpace = { message: '8 RESOURCE_EXHAUSTED: etcdserver: mvcc: database space exceeded' };
  await t.throwsAsync(put('4'), noSpace);
  await t.throwsAsync(kv.txn({ success: [{ request_put: { key, value } }] }), noSpace);
  t.is((await kv.range({ key: Buffer.from('1') })).count, '1');
  const everything = { key: Buffer.from('\0'), range_end: Buffer.from('\0') };
  const { header } = await kv.deleteRange(everything);
  await kv.compact({ revision: header.revision });
  await t.notThrowsAsync(put('4'));
  await t.notThrowsAsync(leaseClient.leaseGrant({ TTL: 60 }));
});

/** A watcher that does not read while far more is written than the connection takes. */
async function stalledWatcher(t: ExecutionContext, maxHistoryEvents: number, writes: number) {
  const { endpoint, stop } = await startEmbeddedEtcd(t, { maxHistoryEvents });
  const { kv } = connect(t, endpoint);
  const stream = await connect(t, endpoint).watchClient.watch();
  t.teardown(() => stream.end());
  const inbox = new Inbox<IWatchResponse>(stream);
  stream.write({ create_request: { key: Buffer.from('\0'), range_end: Buffer.from('\0') } });
  await inbox.next();
  const flow = stream as unknown as { pause(): void; resume(): void };
  flow.pause();
  const value = randomBytes(50_000);
  const revisions: number[] = [];
  for (let index = 0; index < writes; index++) {
    revisions.push(Number((await kv.put({ key: Buffer.from(`k${index}`), value })).header.revision));
  }
  return { inbox, revisions, stop, resume: () => flow.resume() };
}

test('a slow watcher gets everything later, from the history', async (t) => {
  const { inbox, revisions, resume } = await stalledWatcher(t, 10_000, 600);
  resume();
  const seen: number[] = [];
  while (seen.length < revisions.length) {
    seen.push(...(await inbox.next()).events.map(({ kv }) => Number(kv.mod_revision)));
  }
  t.deepEqual(seen, revisions);
});

test('a watcher slower than the history is long is canceled, without a gap before', async (t) => {
  const { inbox, revisions, resume } = await stalledWatcher(t, 50, 600);
  resume();
  const seen: number[] = [];
  let last = await inbox.next();
  for (; !last.canceled; last = await inbox.next()) {
    seen.push(...last.events.map(({ kv }) => Number(kv.mod_revision)));
  }
  t.true(seen.length > 0 && seen.length < revisions.length);
  t.deepEqual(seen, revisions.slice(0, seen.length));
  t.is(Number(last.compact_revision), (revisions.at(-1) ?? 0) - 49);
});

test('a client that reads nothing does not hold up the end', async (t) => {
  const { stop } = await stalledWatcher(t, 50, 100);
  const startedMs = performance.now();
  await stop();
  t.true(performance.now() - startedMs < 5000);
});

test('idle watchers that requested it receive progress notices', async (t) => {
  const { endpoint } = await startEmbeddedEtcd(t, { progressIntervalMs: 50 });
  const client = connect(t, endpoint);
  const stream = await client.watchClient.watch();
  t.teardown(() => stream.end());
  const inbox = new Inbox<IWatchResponse>(stream);
  stream.write({ create_request: { key, progress_notify: true } });
  await inbox.next();
  const { header } = await client.kv.put({ key: Buffer.from('other') });
  let progress = await inbox.next();
  while (progress.header.revision !== header.revision) {
    progress = await inbox.next();
  }
  t.like(progress, { watch_id: '0', events: [], canceled: false, created: false });
});

/** Sends bytes as they are and returns the status code. */
function sendRaw(client: Client, path: string, bytes: Buffer): Promise<number> {
  return new Promise((resolve) => {
    const same = (buffer: Buffer) => buffer;
    client.makeUnaryRequest(path, same, same, bytes, (error: ServiceError | null) =>
      resolve(error?.code ?? 0),
    );
  });
}

const paths = ['KV/Range', 'KV/Put', 'KV/Txn', 'KV/DeleteRange', 'Lease/LeaseGrant', 'Lease/LeaseTimeToLive'];

test('garbage is answered and harms nothing', async (t) => {
  const { endpoint } = await startEmbeddedEtcd(t);
  const client = new Client(endpoint, credentials.createInsecure());
  t.teardown(() => client.close());
  const request = fc.tuple(fc.constantFrom(...paths), fc.uint8Array({ maxLength: 200 }));
  await fc.assert(
    fc.asyncProperty(request, async ([path, bytes]) => {
      const code = await sendRaw(client, `/etcdserverpb.${path}`, Buffer.from(bytes));
      return [0, 3, 5, 8, 9, 11, 13].includes(code);
    }),
    { numRuns: 500 },
  );
  await t.notThrowsAsync(connect(t, endpoint).kv.put({ key }));
});

test('a garbage stream ends with a status and harms nothing', async (t) => {
  const { endpoint } = await startEmbeddedEtcd(t);
  const client = new Client(endpoint, credentials.createInsecure());
  t.teardown(() => client.close());
  const same = (buffer: Buffer) => buffer;
  for (const path of ['Watch/Watch', 'Lease/LeaseKeepAlive']) {
    const stream = client.makeBidiStreamRequest(`/etcdserverpb.${path}`, same, same);
    const ended = new Promise<ServiceError>((resolve) => stream.on('error', resolve));
    stream.resume();
    stream.write(Buffer.from('ffffffffffff', 'hex'));
    t.is((await ended).code, 13);
  }
  await t.notThrowsAsync(connect(t, endpoint).kv.put({ key }));
});

/** A length-delimited protobuf field. */
function field(number: number, body: Buffer): Buffer {
  const length: number[] = [];
  for (let rest = body.length; ; rest >>>= 7) {
    if (rest < 0x80) {
      length.push(rest);
      break;
    }
    length.push((rest & 0x7f) | 0x80);
  }
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), body]);
}

const success = 2;
const requestTxn = 4;

test('transactions nested far too deep are refused, wide ones are not', async (t) => {
  const { endpoint } = await startEmbeddedEtcd(t);
  const client = new Client(endpoint, credentials.createInsecure());
  t.teardown(() => client.close());
  const nest = (depth: number) => {
    let body: Buffer = Buffer.alloc(0);
    for (let level = 0; level < depth; level++) {
      body = field(success, field(requestTxn, body));
    }
    return body;
  };
  for (const depth of [130, 5000]) {
    t.true([3, 13].includes(await sendRaw(client, '/etcdserverpb.KV/Txn', nest(depth))));
  }
  t.is(await sendRaw(client, '/etcdserverpb.KV/Txn', nest(40)), 0);

  const put = (name: string) => field(success, field(2, field(1, Buffer.from(name))));
  const remove = (name: string) => field(success, field(3, field(1, Buffer.from(name))));
  const group = (index: number) =>
    field(
      success,
      field(
        requestTxn,
        Buffer.concat(
          Array.from({ length: 60 }, (_, inner) =>
            Buffer.concat([put(`p${index}/${inner}`), remove(`d${index}/${inner}`)]),
          ).slice(0, Math.floor((128 - 68) / 2)),
        ),
      ),
    );
  const wide = Buffer.concat(Array.from({ length: 68 }, (_, index) => group(index)));
  t.is(await sendRaw(client, '/etcdserverpb.KV/Txn', wide), 0);
});
