import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import test, { type ExecutionContext } from 'ava';
import { NgClient, NgClientError, type NgClientOptions } from '../../../../services/control/ng/client.js';
import { ManualClock } from '../../../support/clock.js';

interface FakeRelay {
  readonly socket: Socket;
  readonly port: number;
  readonly heard: { cookie: string; body: string; remote: RemoteInfo }[];
  next(): Promise<{ cookie: string; body: string; remote: RemoteInfo }>;
  reply(to: { cookie: string; remote: RemoteInfo }, body: string): void;
  close(): Promise<void>;
}

/** A relay that answers only when the test says so. */
async function fakeRelay(t: ExecutionContext, port = 0, address = '127.0.0.1'): Promise<FakeRelay> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.bind(port, address);
  await once(socket, 'listening');
  const heard: FakeRelay['heard'] = [];
  let taken = 0;
  socket.on('message', (datagram, remote) => {
    const [cookie = '', ...rest] = datagram.toString().split(' ');
    heard.push({ cookie, body: rest.join(' '), remote });
    socket.emit('heard');
  });
  let open = true;
  const close = async () => {
    if (!open) {
      return;
    }
    open = false;
    socket.close();
    await once(socket, 'close');
  };
  t.teardown(close);
  return {
    socket,
    port: socket.address().port,
    heard,
    close,
    async next() {
      for (;;) {
        const item = heard[taken];
        if (item) {
          taken++;
          return item;
        }
        await once(socket, 'heard');
      }
    },
    reply: ({ cookie, remote }, body) => socket.send(`${cookie} ${body}`, remote.port, remote.address),
  };
}

async function startedClient(
  t: ExecutionContext,
  port: number,
  options: Partial<NgClientOptions> = {},
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

const failure = (code: string) => ({ instanceOf: NgClientError, code });

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
  t.is(client.outstanding, 0);
});

test('raw bodies travel unchanged both ways', async (t) => {
  const relay = await fakeRelay(t);
  const client = await startedClient(t, relay.port);
  const reply = client.requestRaw(Buffer.from('d1:z1:y1:a1:be'));
  const heard = await relay.next();
  t.is(heard.body, 'd1:z1:y1:a1:be');
  relay.reply(heard, 'whatever it says');
  t.is((await reply).toString(), 'whatever it says');
});

test('JSON bodies and replies', async (t) => {
  const relay = await fakeRelay(t);
  const client = await startedClient(t, relay.port);
  const reply = client.request(Buffer.from('{"command":"ping"}'));
  relay.reply(await relay.next(), '{"result":"pong"}');
  t.is((await reply)['result'], 'pong');
});

test('over IPv6, and to a host name', async (t) => {
  const relay = await fakeRelay(t, 0, '::1');
  const client = await startedClient(t, relay.port, { host: '::1' });
  const reply = client.request({ command: 'ping' });
  relay.reply(await relay.next(), 'd6:result4:ponge');
  t.is((await reply)['result'], 'pong');

  const named = await fakeRelay(t);
  const byName = await startedClient(t, named.port, { host: 'localhost' });
  const second = byName.request({ command: 'ping' });
  named.reply(await named.next(), 'd6:result4:ponge');
  t.is((await second)['result'], 'pong');
});

test('replies out of order find their requests; cookies are unique over clients', async (t) => {
  const relay = await fakeRelay(t);
  const clients = await Promise.all([startedClient(t, relay.port), startedClient(t, relay.port)]);
  const replies = clients.flatMap((client) => [1, 2, 3].map((n) => client.request({ n })));
  const heard = await Promise.all(replies.map(() => relay.next()));
  t.is(new Set(heard.map(({ cookie }) => cookie)).size, 6);
  for (const item of heard.reverse()) {
    relay.reply(item, item.body);
  }
  t.deepEqual(
    (await Promise.all(replies)).map((reply) => reply['n']),
    [1, 2, 3, 1, 2, 3],
  );
});

test('retransmits with the same cookie; the second reply is counted and dropped', async (t) => {
  const clock = new ManualClock();
  const relay = await fakeRelay(t);
  const client = await startedClient(t, relay.port, { clock, timeoutMs: 1000, retransmitMs: 100 });
  const reply = client.request({ command: 'ping' });
  const first = await relay.next();
  clock.advance(100);
  const second = await relay.next();
  t.is(second.cookie, first.cookie);
  t.is(second.body, first.body);
  relay.reply(first, 'd6:result4:ponge');
  await reply;
  relay.reply(second, 'd6:result4:ponge');
  const after = client.request({ command: 'ping' });
  relay.reply(await relay.next(), 'd6:result4:ponge');
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
  const reply = client.request({ command: 'ping' }, { timeoutMs: 300, retransmitMs: 100 });
  await relay.next();
  clock.advance(300);
  const error = await t.throwsAsync(reply, failure('timeout'));
  t.is(error?.message, `127.0.0.1:${relay.port} did not answer within 300 ms`);
  t.is(client.outstanding, 0);
});

test('a closed port is told to all waiting requests at once, and the client recovers', async (t) => {
  const gone = await fakeRelay(t);
  const client = await startedClient(t, gone.port);
  const waiting = [client.request({ n: 1 }), client.request({ n: 2 })];
  await gone.next();
  await gone.next();
  await gone.close();
  const trigger = client.request({ n: 3 });
  for (const request of [...waiting, trigger]) {
    await t.throwsAsync(request, failure('refused'));
  }
  t.is(client.counters.refused, 3);

  const back = await fakeRelay(t, gone.port);
  const reply = client.request({ command: 'ping' });
  back.reply(await back.next(), 'd6:result4:ponge');
  t.is((await reply)['result'], 'pong');
  t.is(client.counters.opened, 2);
});

test('a name that does not resolve is refused', async (t) => {
  const client = new NgClient({ host: 'relay.invalid', port: 2223 });
  await t.throwsAsync(client.start(), failure('refused'));
  await t.throwsAsync(client.request({ command: 'ping' }, { timeoutMs: 20_000 }), failure('refused'));
  await client.stop();
});

test('outstanding requests are bounded', async (t) => {
  const relay = await fakeRelay(t);
  const client = await startedClient(t, relay.port, { maxOutstanding: 2 });
  const waiting = [client.request({ n: 1 }), client.request({ n: 2 })];
  await t.throwsAsync(client.request({ n: 3 }), failure('overloaded'));
  for (const _ of waiting) {
    relay.reply(await relay.next(), 'de');
  }
  await Promise.all(waiting);
  const again = client.request({ n: 4 });
  relay.reply(await relay.next(), 'de');
  await t.notThrowsAsync(again);
});

test('stop ends what waits, and what comes later', async (t) => {
  const relay = await fakeRelay(t);
  const client = await startedClient(t, relay.port);
  const waiting = client.request({ command: 'ping' });
  await relay.next();
  await client.stop();
  await t.throwsAsync(waiting, failure('closed'));
  await t.throwsAsync(client.request({ command: 'ping' }), failure('closed'));
  await t.throwsAsync(client.start(), failure('closed'));
  await client.stop();
});

test('replies and requests that are not ng are malformed', async (t) => {
  const relay = await fakeRelay(t);
  const client = await startedClient(t, relay.port);
  for (const body of ['', 'hello', 'd', 'le', '{', '{"a":']) {
    const reply = client.request({ command: 'ping' });
    relay.reply(await relay.next(), body);
    await t.throwsAsync(reply, failure('malformed'), body);
  }
  await t.throwsAsync(client.requestRaw(Buffer.alloc(65_507)), failure('malformed'));
  await t.throwsAsync(client.request({ sdp: 'x'.repeat(66_000) }), failure('malformed'));
  await t.throwsAsync(client.request({ n: 1.5 }), failure('malformed'));
  t.is(client.outstanding, 0);
});

test('junk datagrams settle nothing', async (t) => {
  const relay = await fakeRelay(t);
  const client = await startedClient(t, relay.port);
  const reply = client.request({ command: 'ping' });
  const heard = await relay.next();
  for (const junk of ['', ' ', 'unknown d6:result4:ponge', heard.cookie, '\x00\x01']) {
    relay.socket.send(junk, heard.remote.port, heard.remote.address);
  }
  relay.reply(heard, 'd6:result4:ponge');
  t.is((await reply)['result'], 'pong');
  t.is(client.counters.unknownReplies, 5);
});
