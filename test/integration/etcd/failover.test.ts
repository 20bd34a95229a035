import type { EventEmitter } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import test, { type ExecutionContext } from 'ava';
import { EtcdConnection } from '../../../services/etcd/connection.js';
import { startEmbeddedEtcd } from '../../support/etcd.js';
import type { Scope } from '../../support/process.js';
import { errorOf, eventually } from '../../support/registry.js';

/** What a member says: a status, an answer, an answer without any field, or nothing. */
type Saying = { readonly code: status; readonly details: string } | 'ok' | 'an empty answer' | 'nothing';

/** A header with `cluster_id` and `revision` 1, and no more (etcdserverpb.ResponseHeader). */
const answer = Buffer.of(0x0a, 4, 0x08, 1, 0x18, 1);

/** A gRPC server in a member's place, which says what a test wants. */
class FakeMember {
  saying: Saying = 'ok';
  /** How many calls and streams it got. */
  asked = 0;

  private constructor(readonly endpoint: string) {}

  static async start(scope: Scope): Promise<FakeMember> {
    const server = new Server();
    scope.teardown(() => server.forceShutdown());
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    const member = new FakeMember(`127.0.0.1:${port}`);
    const bytes = (value: Buffer) => value;
    const method = (path: string, isStream = false) => ({
      path,
      requestStream: isStream,
      responseStream: isStream,
      requestSerialize: bytes,
      requestDeserialize: bytes,
      responseSerialize: bytes,
      responseDeserialize: bytes,
    });
    server.addService(
      {
        range: method('/etcdserverpb.KV/Range'),
        authenticate: method('/etcdserverpb.Auth/Authenticate'),
        keepAlive: method('/etcdserverpb.Lease/LeaseKeepAlive', true),
        watch: method('/etcdserverpb.Watch/Watch', true),
      },
      {
        range: member.#answer,
        authenticate: member.#answer,
        keepAlive: member.#hold,
        watch: member.#hold,
      },
    );
    return member;
  }

  readonly #answer = (_call: ServerUnaryCall<Buffer, Buffer>, respond: sendUnaryData<Buffer>) => {
    this.asked++;
    if (this.saying === 'ok') {
      respond(null, answer);
    } else if (this.saying === 'an empty answer') {
      respond(null, Buffer.alloc(0));
    } else if (this.saying !== 'nothing') {
      respond(this.saying);
    }
  };

  readonly #hold = (stream: ServerDuplexStream<Buffer, Buffer>) => {
    this.asked++;
    if (typeof this.saying === 'object') {
      stream.emit('error', this.saying);
    }
  };
}

/** Silent members are given up after the timeout; a slow machine must not look like one where none is silent. */
function connect(scope: Scope, endpoints: readonly string[], options = {}): EtcdConnection {
  const connection = new EtcdConnection({ endpoints, timeoutMs: 20_000, ...options });
  scope.teardown(() => connection.close());
  return connection;
}

const endOf = (stream: unknown) =>
  new Promise<string>((resolve) => {
    (stream as EventEmitter).on('error', (error) => resolve(String(error)));
  });

const read = (connection: EtcdConnection) => errorOf(connection.range({ key: Buffer.from('a') }));

const silence = { timeoutMs: 1500 };

/** A first member that says so, and a second one that answers; how many calls the second got of three. */
async function callsToSecond(t: ExecutionContext, saying: Saying): Promise<number> {
  const [first, second] = [await FakeMember.start(t), await FakeMember.start(t)];
  first.saying = saying;
  const options = saying === 'nothing' ? silence : {};
  const connection = connect(t, [first.endpoint, second.endpoint], options);
  for (let i = 0; i < 3; i++) {
    await read(connection);
  }
  t.is(first.asked + second.asked, 3, 'each call is made once');
  return second.asked;
}

const said = (code: status, details: string): Saying => ({ code, details });

const failures: readonly Saying[] = [
  // etcd 3.4 and 3.5 have another status for this than 3.6.
  said(status.UNAVAILABLE, 'etcdserver: rpc not supported for learner'),
  said(status.FAILED_PRECONDITION, 'etcdserver: rpc not supported for learner'),
  said(status.UNAVAILABLE, 'etcdserver: no leader'),
  said(status.FAILED_PRECONDITION, 'etcdserver: not leader'),
  said(status.FAILED_PRECONDITION, 'etcdserver: cluster ID mismatch'),
  said(status.RESOURCE_EXHAUSTED, 'etcdserver: too many requests'),
  said(status.DATA_LOSS, 'etcdserver: corrupt cluster'),
  said(status.INVALID_ARGUMENT, 'etcdserver: revision of auth store is old'),
  said(status.UNAUTHENTICATED, 'etcdserver: invalid auth token'),
  said(status.UNIMPLEMENTED, 'unknown service etcdserverpb.KV'),
  said(status.UNKNOWN, 'something new'),
  said(status.INTERNAL, ''),
  said(status.ABORTED, ''),
  'an empty answer',
  'nothing',
];

const answers: readonly Saying[] = [
  said(status.INVALID_ARGUMENT, 'etcdserver: key is not provided'),
  said(status.INVALID_ARGUMENT, 'etcdserver: too many operations in txn request'),
  said(status.NOT_FOUND, 'etcdserver: requested lease not found'),
  said(status.PERMISSION_DENIED, 'etcdserver: permission denied'),
  said(status.OUT_OF_RANGE, 'etcdserver: mvcc: required revision has been compacted'),
  said(status.RESOURCE_EXHAUSTED, 'etcdserver: mvcc: database space exceeded'),
  'ok',
];

const titleOf = (saying: Saying) =>
  typeof saying === 'string' ? saying : `${status[saying.code]} "${saying.details}"`;

for (const saying of failures) {
  test.serial(`a member that says ${titleOf(saying)} is left for the next`, async (t) => {
    t.is(await callsToSecond(t, saying), 2);
  });
}

for (const saying of answers) {
  test.serial(`a member that says ${titleOf(saying)} has answered`, async (t) => {
    t.is(await callsToSecond(t, saying), 0);
  });
}

test.serial('what is no etcd at all is left for the next', async (t) => {
  const http = createServer((_request, response) => response.writeHead(404).end());
  const silent = createTcpServer((socket) => socket.on('error', () => {}).resume());
  const rude = createTcpServer((socket) => {
    socket.on('error', () => {}).resume();
    socket.end('220 mail.example.org ESMTP\r\n');
  });
  for (const server of [http, silent, rude]) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.teardown(() => server.close());
    const member = await FakeMember.start(t);
    const stranger = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const connection = connect(t, [stranger, member.endpoint], silence);
    t.not(await read(connection), 'no error');
    t.is(await read(connection), 'no error');
  }
});

test.serial('connections to a member that accepts them and says nothing do not stay', async (t) => {
  let open = 0;
  let allClosed = () => {};
  const silent = createTcpServer((socket) => {
    open++;
    socket.on('error', () => {}).resume();
    socket.once('close', () => --open === 0 && allClosed());
  });
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  t.teardown(() => silent.close());
  const etcd = await startEmbeddedEtcd(t);
  const good = connect(t, [etcd.endpoint]);
  const watch = await good.watch();
  const end = endOf(watch);
  const connection = connect(t, [`127.0.0.1:${(silent.address() as AddressInfo).port}`], { timeoutMs: 300 });
  for (let i = 0; i < 5; i++) {
    t.not(await read(connection), 'no error');
  }
  t.true(open > 0);
  await new Promise<void>((resolve) => {
    allClosed = resolve;
  });
  t.is(await Promise.race([end, 'it goes on']), 'it goes on', 'a good connection is older than these');
  watch.cancel();
});

test.serial('a member that failed is asked again once the others have failed', async (t) => {
  const members = [await FakeMember.start(t), await FakeMember.start(t), await FakeMember.start(t)];
  const connection = connect(
    t,
    members.map(({ endpoint }) => endpoint),
  );
  const isAsked = async (): Promise<number> => {
    const before = members.map(({ asked }) => asked);
    await read(connection);
    return members.findIndex(({ asked }, i) => asked > (before[i] ?? 0));
  };
  const [first, second] = members as [FakeMember, FakeMember];
  first.saying = said(status.FAILED_PRECONDITION, 'etcdserver: rpc not supported for learner');
  second.saying = said(status.UNKNOWN, '');
  t.deepEqual([await isAsked(), await isAsked(), await isAsked(), await isAsked()], [0, 1, 2, 2]);
  first.saying = 'ok';
  (members[2] as FakeMember).saying = said(status.UNAVAILABLE, 'etcdserver: no leader');
  t.deepEqual([await isAsked(), await isAsked(), await isAsked()], [2, 0, 0]);
});

test.serial('of many calls that fail together one moves on', async (t) => {
  const members = [await FakeMember.start(t), await FakeMember.start(t), await FakeMember.start(t)];
  const [first, second, third] = members as [FakeMember, FakeMember, FakeMember];
  first.saying = said(status.UNIMPLEMENTED, '');
  const connection = connect(
    t,
    members.map(({ endpoint }) => endpoint),
  );
  await Promise.all(Array.from({ length: 20 }, () => read(connection)));
  t.is(await read(connection), 'no error');
  t.is(second.asked, 1);
  t.is(third.asked, 0);
});

test.serial('watches and keepalives leave a member that refuses them', async (t) => {
  const refusing = await FakeMember.start(t);
  refusing.saying = said(status.FAILED_PRECONDITION, 'etcdserver: rpc not supported for learner');
  const etcd = await startEmbeddedEtcd(t);
  const connection = connect(t, [refusing.endpoint, etcd.endpoint]);
  for (const open of [() => connection.watch(), () => connection.keepLeaseAlive()]) {
    const before = refusing.asked;
    const stream = await open();
    t.regex(await endOf(stream), /learner/);
    t.is(refusing.asked, before + 1);
    const next = await open();
    const end = endOf(next);
    next.cancel();
    t.regex(await end, /CANCELLED/);
    t.is(refusing.asked, before + 1);
  }
});

test.serial('a login leaves a member that cannot make it; one that is refused is an answer', async (t) => {
  const [first, second] = [await FakeMember.start(t), await FakeMember.start(t)];
  const login = { username: 'a', password: 'b' };
  first.saying = said(status.FAILED_PRECONDITION, 'etcdserver: rpc not supported for learner');
  const connection = connect(t, [first.endpoint, second.endpoint], login);
  await eventually(async () => (await read(connection)) === 'no error', 'answer');

  const refused = [await FakeMember.start(t), await FakeMember.start(t)] as const;
  refused[0].saying = said(
    status.INVALID_ARGUMENT,
    'etcdserver: authentication failed, invalid user ID or password',
  );
  const wrong = connect(
    t,
    refused.map(({ endpoint }) => endpoint),
    login,
  );
  for (let i = 0; i < 3; i++) {
    t.regex(await read(wrong), /etcd refuses the login/);
  }
  t.is(refused[1].asked, 0);
});
