import { Server, ServerCredentials, type ServiceError, status } from '@grpc/grpc-js';
import test, { type ExecutionContext } from 'ava';
import {
  SelectionServiceService,
  type SelectRequest,
  SelectResponse,
} from '../../../proto/generated/holdfast/v1/selection.js';
import { connect, startEmbeddedEtcd } from '../../support/etcd.js';
import { openNodeClient } from '../../support/node-client.js';
import { aRelay, newKeyspace, putRelay } from '../../support/registry.js';
import { startReplica } from '../../support/stack.js';

/** The client for Node that users copy, against replicas that are hurt. */
async function scene(t: ExecutionContext) {
  const etcd = await startEmbeddedEtcd(t);
  const keys = newKeyspace();
  const client = connect(t, etcd.endpoint);
  for (const id of ['r1', 'r2', 'r3']) {
    await putRelay(client, keys, aRelay({ id }));
  }
  const env = { HOLDFAST_ETCD_PREFIX: keys.relays.replace(/\/relays\/$/, '') };
  const replicas = await Promise.all([0, 1].map(() => startReplica(t, etcd.endpoint, env)));
  const holdfast = await openNodeClient(
    t,
    replicas.map(({ grpc }) => grpc),
  );
  return { replicas, holdfast };
}

test('a call from INVITE to BYE', async (t) => {
  const { holdfast } = await scene(t);
  const invited = await holdfast.select('call');
  t.is(invited.origin, 'ORIGIN_NEW');
  const again = await holdfast.select('call');
  t.is(again.origin, 'ORIGIN_EXISTING');
  t.is(again.binding.relay.controlUrl, invited.binding.relay.controlUrl);
  const moved = await holdfast.move('call', invited.binding.generation, 'its first offer was not answered');
  t.not(moved.binding.relay.id, invited.binding.relay.id);
  t.is(moved.binding.generation, 2);
  t.is((await holdfast.lookup('call')).binding.relay.id, moved.binding.relay.id);
  t.true((await holdfast.release('call')).found);
  const stranger = (await t.throwsAsync(holdfast.lookup('nobody'))) as ServiceError;
  t.is(stranger.code, status.NOT_FOUND);
});

for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
  test(`one of two replicas gets ${signal} in the middle of 200 calls: no request fails`, async (t) => {
    const { replicas, holdfast } = await scene(t);
    const calls = Array.from({ length: 200 }, (_, index) => `call-${index}`);
    const relays = new Map<string, string>();
    let begun = 0;
    const caller = async () => {
      for (let callId = calls[begun++]; callId !== undefined; callId = calls[begun++]) {
        if (begun === 50) {
          replicas[0]?.process.signal(signal);
        }
        relays.set(callId, (await holdfast.select(callId)).binding.relay.id);
      }
    };
    await Promise.all(Array.from({ length: 20 }, caller));
    t.is(relays.size, calls.length);
    const where = await Promise.all(calls.map((callId) => replicas[1]?.client.lookup({ callId })));
    t.deepEqual(
      where.map((answer) => answer?.binding?.relay?.id),
      calls.map((callId) => relays.get(callId)),
    );
  });
}

test('what a replica refuses as UNAVAILABLE is asked again by the same name', async (t) => {
  const asked: SelectRequest[] = [];
  const server = new Server();
  server.addService({ select: SelectionServiceService.select }, {
    select: (call: { request: SelectRequest }, answer: (error: unknown, reply?: SelectResponse) => void) => {
      asked.push(call.request);
      if (asked.length < 3) {
        answer({ code: status.UNAVAILABLE, details: 'not now' });
      } else {
        answer(null, SelectResponse.fromPartial({ binding: { callId: 'call' } }));
      }
    },
  } as never);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  t.teardown(() => server.forceShutdown());
  const holdfast = await openNodeClient(t, [`127.0.0.1:${port}`]);
  t.is((await holdfast.select('call')).binding.callId, 'call');
  t.is(asked.length, 3);
  t.is(new Set(asked.map(({ requestId }) => requestId)).size, 1);
  t.true((asked[0]?.requestId.length ?? 0) > 0);
});
