import { Server as GrpcServer, ServerCredentials, status } from '@grpc/grpc-js';
import test, { type ExecutionContext } from 'ava';
import {
  SelectionServiceService,
  type SelectRequest,
  SelectResponse,
} from '../../../proto/generated/holdfast/v1/selection.js';
import {
  HoldfastClient,
  type HoldfastClientOptions,
  HoldfastRpcError,
  Origin,
} from '../../../services/client/index.js';
import { statusOf } from '../../../services/grpc/status.js';
import { connect, startEmbeddedEtcd } from '../../support/etcd.js';
import { freeTcpPort } from '../../support/ports.js';
import type { Scope } from '../../support/process.js';
import { aRelay, newKeyspace, putRelay } from '../../support/registry.js';
import { openReplica, replicaScene } from '../../support/replica.js';
import { startReplica } from '../../support/stack.js';

/** The public client, also against replicas that fail. */

function open(scope: Scope, targets: readonly string[], options?: HoldfastClientOptions): HoldfastClient {
  // A busy machine must not look like a silent server.
  const client = new HoldfastClient(targets, { attemptTimeoutMs: 10_000, ...options });
  scope.teardown(() => client.close());
  return client;
}

async function twoReplicas(t: ExecutionContext) {
  const etcd = await startEmbeddedEtcd(t);
  const keys = newKeyspace();
  const client = connect(t, etcd.endpoint);
  for (const id of ['r1', 'r2', 'r3']) {
    await putRelay(client, keys, aRelay({ id }));
  }
  const env = { HOLDFAST_ETCD_PREFIX: keys.relays.replace(/\/relays\/$/, '') };
  const replicas = await Promise.all([0, 1].map(() => startReplica(t, etcd.endpoint, env)));
  return { replicas, addresses: replicas.map(({ grpc }) => grpc) };
}

type SelectHandler = (
  request: SelectRequest,
  count: number,
) => SelectResponse | Parameters<typeof statusOf>[0];

/** A server whose `Select` is `handle`, and the requests that it received. */
async function fakeServer(scope: Scope, handle: SelectHandler) {
  const asked: SelectRequest[] = [];
  const server = new GrpcServer();
  server.addService({ select: SelectionServiceService.select }, {
    select: (call: { request: SelectRequest }, answer: (error: unknown, reply?: SelectResponse) => void) => {
      asked.push(call.request);
      const result = handle(call.request, asked.length);
      if ('code' in result) {
        answer(statusOf(result));
      } else {
        answer(null, result);
      }
    },
  } as never);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  scope.teardown(() => server.forceShutdown());
  return { target: `127.0.0.1:${port}`, asked };
}

const unavailable = { code: status.UNAVAILABLE, message: 'not now', reason: 'OVERLOADED', metadata: {} };
const answerTo = ({ callId }: SelectRequest) => SelectResponse.fromPartial({ binding: { callId } });

async function failure(promise: Promise<unknown>): Promise<HoldfastRpcError> {
  const error = await promise.then(
    () => undefined,
    (thrown) => thrown,
  );
  if (error instanceof HoldfastRpcError) {
    return error;
  }
  throw new Error(`not a HoldfastRpcError: ${error}`);
}

test.serial('a call from INVITE to BYE', async (t) => {
  const { grpc } = await replicaScene(t);
  const holdfast = open(t, [grpc]);
  const invited = await holdfast.select({ callId: 'call' });
  t.is(invited.origin, Origin.NEW);
  const again = await holdfast.select({ callId: 'call' });
  t.is(again.origin, Origin.EXISTING);
  t.is(again.binding?.relay?.controlUrl, invited.binding?.relay?.controlUrl);
  const { generation } = invited.binding ?? {};
  const moved = await holdfast.move({
    callId: 'call',
    generation,
    reason: 'its first offer was not answered',
  });
  t.not(moved.binding?.relay?.id, invited.binding?.relay?.id);
  t.is(moved.binding?.generation, 2n);
  t.is((await holdfast.lookup({ callId: 'call' })).binding?.relay?.id, moved.binding?.relay?.id);
  t.true((await holdfast.release({ callId: 'call' })).found);
});

test.serial('errors say their reason, what they are about, and when to try again', async (t) => {
  const { etcd, keys, grpc } = await replicaScene(t, [
    { id: 'full', set: 'full', capacity: 1 },
    { id: 'r1' },
  ]);
  const holdfast = open(t, [grpc], { attempts: 1 });
  await holdfast.select({ callId: 'bound' });
  await holdfast.select({ callId: 'one', set: 'full' });
  const unstarted = await openReplica(t, `127.0.0.1:${await freeTcpPort()}`, keys);
  const expected: readonly (readonly [() => Promise<unknown>, Partial<HoldfastRpcError>])[] = [
    [
      () => holdfast.select({ callId: '' }),
      {
        code: status.INVALID_ARGUMENT,
        reason: 'INVALID_FIELD',
        metadata: { field: 'call_id', allowed: '1-16384 bytes' },
      },
    ],
    [() => holdfast.lookup({ callId: 'nobody' }), { code: status.NOT_FOUND, reason: 'CALL_NOT_BOUND' }],
    [
      () => holdfast.move({ callId: 'bound', generation: 7n, reason: 'test' }),
      { code: status.FAILED_PRECONDITION, reason: 'GENERATION_MISMATCH', metadata: { generation: '1' } },
    ],
    [
      () => holdfast.select({ callId: 'two', set: 'full' }),
      {
        code: status.RESOURCE_EXHAUSTED,
        reason: 'RELAYS_FULL',
        set: 'full',
        metadata: { set: 'full', relays: '1' },
      },
    ],
    [
      () => holdfast.select({ callId: 'new', set: 'empty' }),
      { code: status.UNAVAILABLE, reason: 'NO_RELAY', set: 'empty', retryDelayMs: 200 },
    ],
    [
      () => holdfast.move({ callId: 'bound', generation: 1n, reason: 'test', targetRelayId: 'r9' }),
      { code: status.UNAVAILABLE, reason: 'NO_RELAY', metadata: { set: 'default', relay: 'r9' } },
    ],
    [
      () => open(t, [unstarted.grpc], { attempts: 1 }).select({ callId: 'early' }),
      { code: status.UNAVAILABLE, reason: 'NOT_READY', retryDelayMs: 500 },
    ],
  ];
  for (const [ask, fields] of expected) {
    t.like(await failure(ask()), fields);
  }
  await etcd.stop();
  const move = () =>
    failure(
      open(t, [grpc], { attempts: 1 }).move({
        callId: 'bound',
        generation: 1n,
        reason: 'test',
      }),
    );
  t.like(await move(), { code: status.UNAVAILABLE, reason: 'ETCD_UNAVAILABLE', retryDelayMs: 200 });

  const nobody = `127.0.0.1:${await freeTcpPort()}`;
  const refused = await failure(open(t, [nobody]).select({ callId: 'call' }));
  t.like(refused, { code: status.UNAVAILABLE, reason: undefined, set: undefined, server: nobody });
});

test.serial('the same reasons arrive in a stream', async (t) => {
  const { grpc } = await replicaScene(t);
  const stream = open(t, [grpc], { attempts: 1 }).selectStream();
  const [bound, invalid, lost] = await Promise.all([
    stream.select({ callId: 'call' }),
    failure(stream.select({ callId: '' })),
    failure(stream.select({ callId: 'other', set: 'empty' })),
  ]);
  t.is(bound.binding?.callId, 'call');
  t.like(invalid, { code: status.INVALID_ARGUMENT, reason: 'INVALID_FIELD' });
  t.like(lost, { code: status.UNAVAILABLE, reason: 'NO_RELAY', set: 'empty', retryDelayMs: 200 });
  stream.close();
  t.is((await failure(stream.select({ callId: 'call' }))).code, status.CANCELLED);
});

for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
  for (const streamed of [false, true]) {
    const how = streamed ? 'over streams' : 'one by one';
    test.serial(
      `one of two replicas gets ${signal} in the middle of 200 calls ${how}: no request fails`,
      async (t) => {
        const { replicas, addresses } = await twoReplicas(t);
        const holdfast = open(t, addresses, { attemptTimeoutMs: 2000 });
        const stream = holdfast.selectStream();
        const select = (callId: string) => (streamed ? stream : holdfast).select({ callId });
        const calls = Array.from({ length: 200 }, (_, index) => `call-${index}`);
        const relays = new Map<string, string | undefined>();
        let begun = 0;
        const caller = async () => {
          for (let callId = calls[begun++]; callId !== undefined; callId = calls[begun++]) {
            if (begun === 50) {
              replicas[0]?.process.signal(signal);
            }
            relays.set(callId, (await select(callId)).binding?.relay?.id);
          }
        };
        await Promise.all(Array.from({ length: 20 }, caller));
        t.is(relays.size, calls.length);
        const where = await Promise.all(calls.map((callId) => replicas[1]?.client.lookup({ callId })));
        t.deepEqual(
          where.map((answer) => answer?.binding?.relay?.id),
          calls.map((callId) => relays.get(callId)),
        );
      },
    );
  }
}

test.serial('UNAVAILABLE: the request is sent again, with the same request id', async (t) => {
  const server = await fakeServer(t, (request, count) => (count < 3 ? unavailable : answerTo(request)));
  const holdfast = open(t, [server.target]);
  t.is((await holdfast.select({ callId: 'call' })).binding?.callId, 'call');
  t.is(server.asked.length, 3);
  t.is(new Set(server.asked.map(({ requestId }) => requestId)).size, 1);
  t.true((server.asked[0]?.requestId.length ?? 0) > 0);
});

test.serial('UNAVAILABLE: the next server is asked, whatever else is going on', async (t) => {
  const bad = await fakeServer(t, () => unavailable);
  const good = await fakeServer(t, answerTo);
  const dead = `127.0.0.1:${await freeTcpPort()}`;
  const holdfast = open(t, [dead, bad.target, good.target], { attempts: 3 });
  const calls = Array.from({ length: 20 }, (_, i) => `call-${i}`);
  const answers = await Promise.all(calls.map((callId) => holdfast.select({ callId })));
  t.deepEqual(
    answers.map(({ binding }) => binding?.callId),
    calls,
  );
  t.deepEqual(good.asked.map(({ callId }) => callId).sort(), [...calls].sort());
});

test.serial('what no other server would answer differently is asked once', async (t) => {
  const invalid = { code: status.INVALID_ARGUMENT, message: 'no', reason: 'INVALID_FIELD', metadata: {} };
  const servers = [await fakeServer(t, () => invalid), await fakeServer(t, () => invalid)];
  const holdfast = open(
    t,
    servers.map(({ target }) => target),
  );
  t.is((await failure(holdfast.select({ callId: 'call' }))).reason, 'INVALID_FIELD');
  t.is(servers.flatMap(({ asked }) => asked).length, 1);
});

test.serial('when everything fails, requests are no longer multiplied', async (t) => {
  const server = await fakeServer(t, () => unavailable);
  const holdfast = open(t, [server.target], { attempts: 2 });
  const requests = 200;
  await Promise.all(Array.from({ length: requests }, () => failure(holdfast.select({ callId: 'call' }))));
  t.true(server.asked.length >= requests);
  t.true(server.asked.length <= requests + 50, `${server.asked.length} attempts of ${requests} requests`);
});

test.serial(
  'one of two servers fails all of 300 requests under way: the other one answers them',
  async (t) => {
    const bad = await fakeServer(t, () => unavailable);
    const good = await fakeServer(t, answerTo);
    const holdfast = open(t, [bad.target, good.target]);
    const calls = Array.from({ length: 300 }, (_, index) => `call-${index}`);
    await Promise.all(calls.map((callId) => holdfast.select({ callId })));
    t.deepEqual(good.asked.map(({ callId }) => callId).sort(), [...calls].sort());
  },
);

test('a list of no servers is refused', (t) => {
  t.throws(() => new HoldfastClient([]), { message: 'at least one server is required' });
});
