import test, { type ExecutionContext } from 'ava';
import { NgClient } from '../../../../services/control/ng/client.js';
import { UdpClientError, type UdpClientOptions } from '../../../../services/control/udp/client.js';
import { fakeRelay } from '../../../support/fake-relay.js';

async function startedClient(
  t: ExecutionContext,
  port: number,
  options: Partial<UdpClientOptions> = {},
): Promise<NgClient> {
  const client = new NgClient({
    host: '127.0.0.1',
    port,
    timeoutMs: 20_000,
    retransmitMs: 10_000,
    ...options,
  });
  await client.start();
  t.teardown(() => client.stop());
  return client;
}

const failure = (code: string) => ({ instanceOf: UdpClientError, code });

test('replies that come all at once are all heard', async (t) => {
  const relay = await fakeRelay(t);
  const client = await startedClient(t, relay.port);
  // More than the kernel keeps for a socket by default, less than where even twice as much is not allowed.
  const count = 140;
  const replies = Array.from({ length: count }, () => client.request({ command: 'ping' }));
  const heard = [];
  while (heard.length < count) {
    heard.push(await relay.next());
  }
  const filler = 'x'.repeat(1000);
  for (const each of heard) {
    relay.reply(each, `d6:filler1000:${filler}6:result4:ponge`);
  }
  for (const reply of await Promise.all(replies)) {
    t.is(reply['result']?.toString(), 'pong');
  }
  t.is(client.counters.retransmissions, 0);
});

test('request and reply', async (t) => {
  const relay = await fakeRelay(t);
  const client = await startedClient(t, relay.port);
  const reply = client.request({ command: 'ping' });
  const heard = await relay.next();
  t.is(heard.body, 'd7:command4:pinge');
  relay.reply(heard, 'd6:result4:ponge');
  t.is((await reply)['result'], 'pong');
});

test('JSON bodies and replies', async (t) => {
  const relay = await fakeRelay(t);
  const client = await startedClient(t, relay.port);
  const reply = client.request(Buffer.from('{"command":"ping"}'));
  relay.reply(await relay.next(), '{"result":"pong"}');
  t.is((await reply)['result'], 'pong');
});

test('replies and requests that are not ng are malformed', async (t) => {
  const relay = await fakeRelay(t);
  const client = await startedClient(t, relay.port);
  for (const body of ['', 'hello', 'd', 'le', '{', '{"a":']) {
    const reply = client.request({ command: 'ping' });
    relay.reply(await relay.next(), body);
    await t.throwsAsync(reply, failure('malformed'), body);
  }
  await t.throwsAsync(client.request({ sdp: 'x'.repeat(66_000) }), failure('malformed'));
  await t.throwsAsync(client.request({ n: 1.5 }), failure('malformed'));
});
