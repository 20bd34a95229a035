import test, { type ExecutionContext } from 'ava';
import { UdpClient, UdpClientError, type UdpClientOptions } from '../../../../services/control/udp/client.js';
import { ManualClock } from '../../../support/clock.js';
import { fakeRelay } from '../../../support/fake-relay.js';

async function startedClient(
  t: ExecutionContext,
  port: number,
  options: Partial<UdpClientOptions> = {},
): Promise<UdpClient> {
  const client = new UdpClient({
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
const ping = Buffer.from('ping');

test('raw bodies travel unchanged both ways', async (t) => {
  const relay = await fakeRelay(t);
  const client = await startedClient(t, relay.port);
  const reply = client.request(Buffer.from('d1:z1:y1:a1:be'));
  const heard = await relay.next();
  t.is(heard.body, 'd1:z1:y1:a1:be');
  relay.reply(heard, 'whatever it says');
  t.is((await reply).toString(), 'whatever it says');
});

test('over IPv6, and to a host name', async (t) => {
  const relay = await fakeRelay(t, 0, '::1');
  const client = await startedClient(t, relay.port, { host: '::1' });
  const reply = client.request(ping);
  relay.reply(await relay.next(), 'pong');
  t.is((await reply).toString(), 'pong');

  const named = await fakeRelay(t);
  const byName = await startedClient(t, named.port, { host: 'localhost' });
  const second = byName.request(ping);
  named.reply(await named.next(), 'pong');
  t.is((await second).toString(), 'pong');
});

test('replies out of order find their requests; cookies are unique over clients', async (t) => {
  const relay = await fakeRelay(t);
  const clients = await Promise.all([startedClient(t, relay.port), startedClient(t, relay.port)]);
  const replies = clients.flatMap((client) => [1, 2, 3].map((n) => client.request(Buffer.from(`${n}`))));
  const heard = await Promise.all(replies.map(() => relay.next()));
  t.is(new Set(heard.map(({ cookie }) => cookie)).size, 6);
  for (const item of heard.reverse()) {
    relay.reply(item, item.body);
  }
  t.deepEqual(
    (await Promise.all(replies)).map((reply) => reply.toString()),
    ['1', '2', '3', '1', '2', '3'],
  );
});

test('retransmits with the same cookie; the second reply is counted and dropped', async (t) => {
  const clock = new ManualClock();
  const relay = await fakeRelay(t);
  const client = await startedClient(t, relay.port, { clock, timeoutMs: 1000, retransmitMs: 100 });
  const reply = client.request(ping);
  const first = await relay.next();
  clock.advance(100);
  const second = await relay.next();
  t.is(second.cookie, first.cookie);
  t.is(second.body, first.body);
  relay.reply(first, 'pong');
  await reply;
  relay.reply(second, 'pong');
  const after = client.request(ping);
  relay.reply(await relay.next(), 'pong');
  await after;
  t.is(client.counters.unknownReplies, 1);
  t.is(client.counters.retransmissions, 1);
  clock.advance(5000);
  t.is(client.counters.retransmissions, 1, 'nothing is sent once the reply is there');
  t.is(client.counters.timeouts, 0);
});

test('a silent relay is a timeout', async (t) => {
  const clock = new ManualClock();
  const relay = await fakeRelay(t);
  const client = await startedClient(t, relay.port, { clock });
  const reply = client.request(ping, { timeoutMs: 300, retransmitMs: 100 });
  await relay.next();
  clock.advance(300);
  const error = await t.throwsAsync(reply, failure('timeout'));
  t.is(error?.message, `127.0.0.1:${relay.port} did not answer within 300 ms`);
  t.is(client.outstanding, 0);
});

test('a closed port is told to all waiting requests at once, and the client recovers', async (t) => {
  const gone = await fakeRelay(t);
  const client = await startedClient(t, gone.port);
  const waiting = [client.request(Buffer.from('1')), client.request(Buffer.from('2'))];
  await gone.next();
  await gone.next();
  await gone.close();
  const trigger = client.request(Buffer.from('3'));
  for (const request of [...waiting, trigger]) {
    await t.throwsAsync(request, failure('refused'));
  }
  t.is(client.counters.refused, 3);

  const back = await fakeRelay(t, gone.port);
  const reply = client.request(ping);
  back.reply(await back.next(), 'pong');
  t.is((await reply).toString(), 'pong');
  t.is(client.counters.opened, 2);
});

test('a name that does not resolve is refused', async (t) => {
  const client = new UdpClient({ host: 'relay.invalid', port: 2223 });
  await t.throwsAsync(client.start(), failure('refused'));
  await t.throwsAsync(client.request(ping, { timeoutMs: 20_000 }), failure('refused'));
  await client.stop();
});

test('outstanding requests are bounded', async (t) => {
  const relay = await fakeRelay(t);
  const client = await startedClient(t, relay.port, { maxOutstanding: 2 });
  const waiting = [client.request(Buffer.from('1')), client.request(Buffer.from('2'))];
  await t.throwsAsync(client.request(Buffer.from('3')), failure('overloaded'));
  for (const _ of waiting) {
    relay.reply(await relay.next(), 'de');
  }
  await Promise.all(waiting);
  const again = client.request(Buffer.from('4'));
  relay.reply(await relay.next(), 'de');
  await t.notThrowsAsync(again);
});

test('stop ends what waits, and what comes later', async (t) => {
  const relay = await fakeRelay(t);
  const client = await startedClient(t, relay.port);
  const waiting = client.request(ping);
  await relay.next();
  await client.stop();
  await t.throwsAsync(waiting, failure('closed'));
  await t.throwsAsync(client.request(ping), failure('closed'));
  await t.throwsAsync(client.start(), failure('closed'));
  await client.stop();
});

test('junk datagrams settle nothing', async (t) => {
  const relay = await fakeRelay(t);
  const client = await startedClient(t, relay.port);
  const reply = client.request(ping);
  const heard = await relay.next();
  for (const junk of ['', ' ', 'unknown pong', heard.cookie, '\x00\x01']) {
    relay.socket.send(junk, heard.remote.port, heard.remote.address);
  }
  relay.reply(heard, 'pong');
  t.is((await reply).toString(), 'pong');
  t.is(client.counters.unknownReplies, 5);
});

test('a request that fits no datagram is malformed', async (t) => {
  const relay = await fakeRelay(t);
  const client = await startedClient(t, relay.port);
  await t.throwsAsync(client.request(Buffer.alloc(65_507)), failure('malformed'));
  t.is(client.outstanding, 0);
});

const unreachable = [
  ['a broadcast address', '255.255.255.255', 2223],
  ['a link-local address without its interface', 'fe80::1', 2223],
  ['port 0', '127.0.0.1', 0],
  ['a port beyond the last', '127.0.0.1', 65_536],
] as const;

for (const [what, host, port] of unreachable) {
  test(`${what} is refused, again and again, and nothing is thrown elsewhere`, async (t) => {
    const client = new UdpClient({ host, port });
    t.teardown(() => client.stop());
    await t.throwsAsync(client.start(), failure('refused'));
    // Several at once share one attempt to connect; the next one tries anew.
    for (let round = 0; round < 2; round++) {
      const requests = [1, 2, 3].map(() => client.request(ping, { timeoutMs: 20_000 }));
      for (const request of requests) {
        await t.throwsAsync(request, failure('refused'));
      }
    }
    t.is(client.counters.refused, 6);
    t.is(client.outstanding, 0);
    t.is(client.counters.opened, 0);
  });
}
