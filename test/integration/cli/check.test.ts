import { createServer } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { connect, startEmbeddedEtcd } from '../../support/etcd.js';
import { freeTcpPort, freeUdpPort } from '../../support/ports.js';
import { aRelay, newKeyspace, putRelay } from '../../support/registry.js';
import { runHoldfast } from '../../support/stack.js';

/** `holdfast check`: would this process run here? */

/** By subject: the verdict and what was found. */
async function check(t: ExecutionContext, process: string, env: Record<string, string>) {
  const { code, stdout, output } = await runHoldfast(t, ['check', process], env);
  const lines = stdout.trimEnd().split('\n');
  const found = new Map(
    lines.map((line) => {
      const [verdict = '', subject = '', text = ''] = line.split(/ {2,}/);
      return [subject, `${verdict} ${text}`];
    }),
  );
  return { code, output, of: (subject: string) => found.get(subject) ?? '' };
}

test('a replica: etcd, rights and addresses', async (t) => {
  const { endpoint } = await startEmbeddedEtcd(t);
  const free = {
    HOLDFAST_ETCD: endpoint,
    HOLDFAST_GRPC_LISTEN: '127.0.0.1:0',
    HOLDFAST_HTTP_LISTEN: '127.0.0.1:0',
    HOLDFAST_NG_LISTEN: `127.0.0.1:${await freeUdpPort()}`,
  };
  const well = await check(t, 'selection', free);
  t.is(well.code, 0, well.output);
  t.regex(well.of('etcd'), /^ok .* answered in \d+ ms: cluster [0-9a-f]+, revision \d+$/);
  t.is(well.of('etcd writes'), 'ok everybody is permitted to write below /holdfast/v1/calls/');
  t.is(well.of('ng gateway'), `ok ${free.HOLDFAST_NG_LISTEN} is free`);

  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  t.teardown(() => taken.close());
  const { port } = taken.address() as { port: number };
  const nobody = `127.0.0.1:${await freeTcpPort()}`;
  const ill = await check(t, 'selection', {
    ...free,
    HOLDFAST_ETCD: nobody,
    HOLDFAST_GRPC_LISTEN: `127.0.0.1:${port}`,
  });
  t.is(ill.code, 1, ill.output);
  t.regex(ill.of('etcd'), /^failed connect ECONNREFUSED 127\.0\.0\.1:\d+$/);
  t.regex(ill.of('gRPC'), /^failed cannot listen on 127\.0\.0\.1:\d+ for gRPC: another process has it/);
  t.regex(ill.of('HTTP'), /^ok /, 'the others are tried all the same');
});

test('a relay node: its relay, and whether its name is free', async (t) => {
  const { endpoint } = await startEmbeddedEtcd(t);
  const keys = newKeyspace();
  const env = {
    HOLDFAST_ETCD: endpoint,
    HOLDFAST_ETCD_PREFIX: keys.relays.replace(/\/relays\/$/, ''),
    HOLDFAST_HTTP_LISTEN: '127.0.0.1:0',
    HOLDFAST_RELAY_ID: 'r1',
    HOLDFAST_RELAY_CONTROL: `127.0.0.1:${await freeUdpPort()}`,
  };
  const free = await check(t, 'relay-node', env);
  t.is(free.code, 0, free.output);
  t.regex(
    free.of('relay'),
    /^ok builtin \S+ answers at udp:127\.0\.0\.1:\d+: 0 calls; features .*ipv4; media are forwarded in user space: 127\.0\.0\.1 is an address of the loopback device$/,
  );
  t.is(free.of('registration'), 'ok would register as default/r1, weight 100');

  await putRelay(connect(t, endpoint), keys, aRelay({ id: 'r1' }));
  const taken = await check(t, 'relay-node', { ...env, HOLDFAST_RELAY_KIND: 'rtpengine' });
  t.is(taken.code, 1);
  t.regex(taken.of('relay'), /^failed /, 'nobody answers there');
  t.regex(taken.of('registration'), /^failed default\/r1 is registered already: .*needs another --id$/);
});

test('settings that are wrong are the answer', async (t) => {
  const { code, output } = await check(t, 'relay-node', { HOLDFAST_RELAY_ID: 'NO' });
  t.is(code, 78);
  t.regex(output, /HOLDFAST_RELAY_ID="NO": allowed: /);
});
