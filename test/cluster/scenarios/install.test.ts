import { connect } from 'node:net';
import { status } from '@grpc/grpc-js';
import test, { type ExecutionContext } from 'ava';
import { HoldfastClient, HoldfastRpcError } from '../../../services/client/index.js';
import '../stage/end.js';
import { Release } from '../stage/release.js';

/** A first install with no values, as a new user does it. */

const readyMs = 60_000;

test.serial('installs with no values where only restricted pods are admitted', async (t) => {
  const release = await Release.prepare(t, 'first');
  const tookMs = await release.install();
  t.log(`ready after ${(tookMs / 1000).toFixed(1)} s`);
  t.true(tookMs < readyMs);

  const printed = await release.test();
  t.regex(printed, /Phase: +Succeeded/);
  t.regex(printed, /helm-test-holdfast/, 'the log of the lookup names the call');

  await onlyWhatPoliciesAllow(t, release);
  await besideAnother(t, release);

  await release.uninstall();
  t.deepEqual(
    await release.objects(),
    [0, 1, 2].map((ordinal) => `persistentvolumeclaim/data-holdfast-etcd-${ordinal}`),
    'the volumes of etcd are kept, and nothing else',
  );
});

/** A second release in the same namespace has its own etcd, relays and calls. */
async function besideAnother(t: ExecutionContext, first: Release): Promise<void> {
  const other = await Release.prepare(t, first.namespace, { name: 'holdfast-other' });
  await other.install(['relay.replicas=1']);
  const one = new HoldfastClient(first.target);
  const two = new HoldfastClient(other.target);
  t.teardown(() => one.close());
  t.teardown(() => two.close());
  await one.select({ callId: 'call-of-the-first' });
  const error = await t.throwsAsync(two.lookup({ callId: 'call-of-the-first' }), {
    instanceOf: HoldfastRpcError,
  });
  t.is(error?.code, status.NOT_FOUND);
  t.is((await one.listRelays()).relays.length, 2);
  t.is((await two.listRelays()).relays.length, 1);
  await other.uninstall();
  await first.kubectl('delete', 'pvc', '-l', 'app.kubernetes.io/instance=holdfast-other');
}

async function onlyWhatPoliciesAllow(t: ExecutionContext, release: Release): Promise<void> {
  const [etcd] = await release.pods('etcd');
  const [selection] = await release.pods('selection');
  t.is(await connection(selection?.status.podIP, 7400), 'open', 'proxies ask over gRPC');
  t.is(await connection(etcd?.status.podIP, 2379), 'ECONNREFUSED', 'etcd is for the pods of the release');
  t.is(await connection(etcd?.status.podIP, 2380), 'ECONNREFUSED', 'and its members');
  t.is(await connection(etcd?.status.podIP, 2381), 'open', 'metrics may be read');
}

/** @returns `open`, or the code of the error */
function connection(host = '', port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.once('connect', () => resolve('open'));
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.once('close', () => socket.destroy());
    socket.once('connect', () => socket.destroy());
  });
}
