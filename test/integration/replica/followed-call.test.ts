import { credentials, Metadata } from '@grpc/grpc-js';
import test from 'ava';
import {
  SelectionServiceClient,
  SelectRequest,
  type SelectResponse,
} from '../../../proto/generated/holdfast/v1/selection.js';
import { startEmbeddedEtcd } from '../../support/etcd.js';
import { audioSdp, newCall, ProxyClient } from '../../support/ng.js';
import type { TestProcess } from '../../support/process.js';
import { eventually } from '../../support/registry.js';
import { logged, logOf, startRelayNode, startReplica } from '../../support/stack.js';

const debug = { HOLDFAST_LOG_LEVEL: 'debug' };

/** What a process has said of a call, one line each: the message and what came of it. */
const saidOf = (child: TestProcess, callId: string) =>
  logOf(child)
    .filter((line) => line['callId'] === callId)
    .map(({ msg, command, result }) => [msg, command, result].filter((part) => part !== undefined).join(' '));

test('at debug every request of a call can be followed by its Call-ID, through the replica to the relay', async (t) => {
  const { endpoint } = await startEmbeddedEtcd(t);
  const replica = await startReplica(t, endpoint, { ...debug, HOLDFAST_NG_LISTEN: '127.0.0.1:0' });
  const node = await startRelayNode(t, { id: 'media-1', etcd: endpoint, env: debug });
  const { ng } = (await logged(replica.process, 'listening; reading etcd')) as { ng?: string[] };
  const [host = '', port] = (ng?.[0] ?? '').split(':');
  const proxy = new ProxyClient(host, Number(port));
  await proxy.start();
  t.teardown(() => proxy.stop());
  await eventually(async () => (await replica.client.listRelays()).relays.length === 1, 'the relay');
  const call = newCall();
  await proxy.offer(call, audioSdp({ address: '127.0.0.1', port: 20_000 }));
  await proxy.answer(call, audioSdp({ address: '127.0.0.1', port: 20_002 }));
  await proxy.delete(call);
  await proxy.query({ callId: 'another' });
  const ended = (child: TestProcess, message: string) =>
    eventually(() => saidOf(child, call.callId).includes(message), message);
  await ended(replica.process, 'command answered delete ok');
  await ended(node.process, 'command carried out delete ok');
  const said = saidOf(replica.process, call.callId);
  for (const message of [
    'call bound',
    'relay asked offer accepted',
    'command answered offer ok',
    'relay asked answer accepted',
    'call answered',
    'command answered answer ok',
    'relay asked delete accepted',
  ]) {
    t.true(said.includes(message), `${message}: ${said.join('; ')}`);
  }
  t.deepEqual(saidOf(node.process, call.callId).slice(0, 3), [
    'command carried out offer ok',
    'command carried out answer ok',
    'command carried out delete ok',
  ]);
  const asked = logOf(replica.process).find(({ msg }) => msg === 'relay asked');
  t.is(asked?.['relay'], 'media-1');
  t.regex(String(asked?.['controlUrl']), /^udp:127\.0\.0\.1:\d+$/);
});

test('lines of a traced gRPC request have its trace id, those of others have none', async (t) => {
  const { endpoint } = await startEmbeddedEtcd(t);
  const replica = await startReplica(t, endpoint, debug);
  await startRelayNode(t, { id: 'media-1', etcd: endpoint });
  await eventually(async () => (await replica.client.listRelays()).relays.length === 1, 'the relay');
  const client = new SelectionServiceClient(replica.grpc, credentials.createInsecure());
  t.teardown(() => client.close());
  const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
  const select = (callId: string, traceparent?: string) =>
    new Promise<SelectResponse>((resolve, reject) => {
      const metadata = new Metadata();
      if (traceparent !== undefined) {
        metadata.set('traceparent', traceparent);
      }
      client.select(SelectRequest.fromPartial({ callId }), metadata, (error, response) =>
        error ? reject(error) : resolve(response),
      );
    });
  await select('traced', `00-${traceId}-00f067aa0ba902b7-01`);
  await select('plain');
  await select('mistaken', 'nonsense');
  const of = (callId: string) => logOf(replica.process).filter((line) => line['callId'] === callId);
  const answered = (callId: string) => of(callId).find(({ msg }) => msg === 'request answered');
  await eventually(() => ['traced', 'plain', 'mistaken'].every(answered), 'three lines');
  t.like(answered('traced'), { method: 'Select', relay: 'media-1', result: 'ok', traceId });
  t.is(of('traced').find(({ msg }) => msg === 'call bound')?.['traceId'], traceId);
  t.is(answered('plain')?.['traceId'], undefined);
  t.is(answered('mistaken')?.['traceId'], undefined);
});
