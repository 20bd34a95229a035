import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import test, { type ExecutionContext } from 'ava';
import { type NgHandler, NgServer, type NgServerOptions } from '../../../../services/control/ng/server.js';
import { ReplyCache } from '../../../../services/control/udp/reply-cache.js';
import { ManualClock } from '../../../support/clock.js';

class Asker {
  readonly #replies: string[] = [];
  constructor(
    readonly socket: Socket,
    readonly server: NgServer,
  ) {
    socket.on('message', (datagram) => {
      this.#replies.push(datagram.toString());
      socket.emit('reply');
    });
  }

  send(datagram: string | Buffer, index = 0): void {
    const to = this.server.addresses()[index];
    if (!to) {
      throw new Error('no such address');
    }
    this.socket.send(datagram, to.port, to.host);
  }

  async reply(): Promise<string> {
    while (this.#replies.length === 0) {
      await once(this.socket, 'reply');
    }
    return this.#replies.shift() ?? '';
  }

  ask(datagram: string | Buffer): Promise<string> {
    this.send(datagram);
    return this.reply();
  }
}

async function started(
  t: ExecutionContext,
  handler: NgHandler,
  options: Partial<NgServerOptions> = {},
): Promise<NgServer> {
  const server = new NgServer({ listen: [{ host: '127.0.0.1', port: 0 }], handler, ...options });
  await server.start();
  t.teardown(() => server.stop());
  return server;
}

async function asker(t: ExecutionContext, server: NgServer, host = '127.0.0.1'): Promise<Asker> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  socket.bind(0, host);
  await once(socket, 'listening');
  t.teardown(() => socket.close());
  return new Asker(socket, server);
}

/** A handler that counts, and answers when `release` is called. */
function gated(): { handler: NgHandler; calls: () => number; release: () => void; called: Promise<void> } {
  let calls = 0;
  let release = () => {};
  let entered = () => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const called = new Promise<void>((resolve) => {
    entered = resolve;
  });
  return {
    calls: () => calls,
    release: () => release(),
    called,
    handler: async () => {
      calls++;
      entered();
      await gate;
      return { result: 'ok', n: calls };
    },
  };
}

const pong: NgHandler = async () => ({ result: 'pong' });

test('answers in the format of the request', async (t) => {
  const server = await started(t, async ({ format }) => ({ result: format }));
  const proxy = await asker(t, server);
  t.is(await proxy.ask('a d7:command4:pinge'), 'a d6:result7:bencodee');
  t.is(await proxy.ask('b {"command":"ping"}'), 'b {"result":"json"}');
  t.is(server.counters.replied, 2);
});

test('tells the handler who asked and where', async (t) => {
  const server = await started(t, async (_, source) => ({
    from: `${source.address}:${source.port}`,
    at: source.listener,
  }));
  const proxy = await asker(t, server);
  t.is(await proxy.ask('a {"command":"x"}'), `a {"from":"127.0.0.1:${proxy.socket.address().port}","at":0}`);
});

test('listens on several addresses and answers from the one that was asked', async (t) => {
  const server = await started(t, pong, {
    listen: [
      { host: '127.0.0.1', port: 0 },
      { host: '::1', port: 0 },
      { host: '127.0.0.1', port: 0 },
    ],
  });
  t.is(server.addresses().length, 3);
  const six = createSocket('udp6');
  six.connect(server.addresses()[1]?.port ?? 0, '::1');
  await once(six, 'connect');
  t.teardown(() => six.close());
  six.send('a d7:command4:pinge');
  const [reply] = (await once(six, 'message')) as [Buffer];
  t.is(reply.toString(), 'a d6:result4:ponge', 'a connected socket hears only the address that it asked');
});

test('a duplicate in flight is ignored, a finished one gets the same reply', async (t) => {
  const clock = new ManualClock();
  const gate = gated();
  const server = await started(t, gate.handler, { clock });
  const proxy = await asker(t, server);
  proxy.send('same d7:command4:pinge');
  await gate.called;
  proxy.send('same d7:command4:pinge');
  proxy.send('other {');
  t.regex(await proxy.reply(), /^other /, 'datagrams are taken in order: the duplicate has been seen');
  t.is(server.counters.duplicatesInFlight, 1);
  gate.release();
  const reply = await proxy.reply();
  t.is(reply, 'same d1:ni1e6:result2:oke');
  clock.advance(29_999);
  t.is(await proxy.ask('same d7:command4:pinge'), reply);
  t.is(gate.calls(), 1);
  clock.advance(1);
  t.is(
    await proxy.ask('same d7:command4:pinge'),
    'same d1:ni2e6:result2:oke',
    'after 30 s it is a new request',
  );
});

test('the same cookie from another proxy is another request', async (t) => {
  let calls = 0;
  const server = await started(t, async () => ({ n: ++calls }));
  const [one, two] = [await asker(t, server), await asker(t, server)];
  t.is(await one.ask('c d7:command4:pinge'), 'c d1:ni1ee');
  t.is(await two.ask('c d7:command4:pinge'), 'c d1:ni2ee');
});

test('malformed datagrams with a cookie are answered, others dropped', async (t) => {
  const server = await started(t, pong);
  const proxy = await asker(t, server);
  for (const junk of ['', ' ', 'cookie', '\x00\x00 de', `${'x'.repeat(300)} de`]) {
    proxy.send(junk);
  }
  t.is(await proxy.ask('c '), 'c d12:error-reason25:Invalid data (no payload)6:result5:errore');
  t.regex(
    await proxy.ask('d {"a"'),
    /^d \{"result":"error","error-reason":"Invalid data \(invalid JSON\)"\}$/,
  );
  t.regex(await proxy.ask('e d1:a'), /truncated at byte 4/);
  t.is(server.counters.malformed, 3);
  t.is(server.counters.dropped, 5);
});

test('a reply that comes as a request is not answered', async (t) => {
  const server = await started(t, pong);
  const proxy = await asker(t, server);
  proxy.send('c d12:error-reason1:x6:result5:errore');
  t.regex(await proxy.ask('d d7:command4:pinge'), /^d /);
  t.is(server.counters.dropped, 1);
});

test('a handler that fails is an error reply', async (t) => {
  const server = await started(t, async () => {
    throw new Error('secret detail');
  });
  const proxy = await asker(t, server);
  t.is(await proxy.ask('c {"command":"x"}'), 'c {"result":"error","error-reason":"Internal error"}');
  t.is(server.counters.handlerErrors, 1);
  t.is(server.inFlight, 0);
});

test('a reply that fits no datagram becomes an error reply', async (t) => {
  const server = await started(t, async () => ({ sdp: 'x'.repeat(65_507) }));
  const proxy = await asker(t, server);
  t.regex(await proxy.ask('c {"command":"x"}'), /error-reason":"Reply of 6\d+ bytes does not fit/);
  t.is(server.counters.oversizedReplies, 1);
});

test('requests in flight are bounded', async (t) => {
  const gate = gated();
  const server = await started(t, gate.handler, { maxInFlight: 1 });
  const proxy = await asker(t, server);
  proxy.send('a {"command":"x"}');
  await gate.called;
  t.is(await proxy.ask('b {"command":"x"}'), 'b {"result":"error","error-reason":"Too many requests"}');
  gate.release();
  t.regex(await proxy.reply(), /^a /);
  t.regex(await proxy.ask('b {"command":"x"}'), /"ok"/, 'the refusal is not kept: the next try may succeed');
  t.is(server.counters.overloaded, 1);
});

test('sources that are not accepted get no answer', async (t) => {
  const server = await started(t, pong, { accept: (address) => address !== '127.0.0.2' });
  const [stranger, proxy] = [await asker(t, server, '127.0.0.2'), await asker(t, server)];
  stranger.send('a d7:command4:pinge');
  stranger.socket.on('message', () => t.fail());
  while (server.counters.notAccepted === 0) {
    await proxy.ask(`p${server.counters.received} d7:command4:pinge`);
  }
  t.pass();
});

test('a port in use is an error that says so, and no address stays open', async (t) => {
  const first = await started(t, pong);
  const taken = first.addresses()[0];
  const server = new NgServer({
    listen: [{ host: '127.0.0.1', port: 0 }, taken ?? { host: '', port: 0 }],
    handler: pong,
  });
  await t.throwsAsync(server.start(), {
    message: `cannot listen on 127.0.0.1:${taken?.port} for the ng protocol: another process has it: stop that one, or choose another port`,
  });
  const freed = server.addresses()[0]?.port ?? 0;
  const socket = createSocket('udp4');
  socket.bind(freed, '127.0.0.1');
  await t.notThrowsAsync(once(socket, 'listening'));
  socket.close();
});

test('stop answers what is in flight', async (t) => {
  const gate = gated();
  const server = await started(t, gate.handler);
  const proxy = await asker(t, server);
  proxy.send('a {"command":"x"}');
  await gate.called;
  const stopped = server.stop();
  gate.release();
  t.regex(await proxy.reply(), /^a .*ok/);
  await stopped;
  await server.stop();
});

test('stop does not wait for ever', async (t) => {
  const clock = new ManualClock();
  const server = await started(t, () => new Promise(() => {}), { clock });
  const proxy = await asker(t, server);
  proxy.send('a {"command":"x"}');
  while (server.inFlight === 0) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  const stopped = server.stop();
  clock.advance(1000);
  await t.notThrowsAsync(stopped);
});

test('kept replies are bounded by number, bytes and age', (t) => {
  const clock = new ManualClock();
  const cache = new ReplyCache(clock, { ttlMs: 100, maxEntries: 3, maxBytes: 100 });
  for (const key of ['a', 'b', 'c', 'd']) {
    cache.put(key, Buffer.alloc(10));
  }
  t.is(cache.get('a'), undefined);
  t.is(cache.size, 3);
  cache.put('big', Buffer.alloc(95));
  t.deepEqual([cache.size, cache.bytes], [1, 95]);
  cache.put('too big', Buffer.alloc(101));
  t.is(cache.get('too big'), undefined);
  cache.put('big', Buffer.alloc(1));
  t.deepEqual([cache.size, cache.bytes], [1, 1]);
  clock.advance(100);
  t.is(cache.get('big'), undefined);
  t.deepEqual([cache.size, cache.bytes], [0, 0]);
});
