import test, { type ExecutionContext } from 'ava';
import { encodeBody } from '../../../services/control/ng/message.js';
import { ng } from '../../../services/control/ng/protocol.js';
import type { ControlRequest } from '../../../services/control/protocol.js';
import { ownRequest } from '../../../services/control/rtpproxy/request.js';
import type { RegisteredRelay } from '../../../services/domain/relay.js';
import type { RelayList } from '../../../services/gateway/deps.js';
import { RelayClients } from '../../../services/gateway/relay-clients.js';
import { systemClock } from '../../../services/runtime/clock.js';
import { turns } from '../../support/clock.js';
import { fakeRelay } from '../../support/fake-relay.js';
import { openLog } from '../../support/replica.js';
import { registered } from './scene.js';

class FakeDirectory implements RelayList {
  #relays: RegisteredRelay[] = [];
  readonly #listeners = new Set<Parameters<RelayList['subscribe']>[0]>();

  list(set?: string): readonly RegisteredRelay[] {
    return this.#relays.filter(({ relay }) => set === undefined || relay.set === set);
  }

  get(set: string, id: string): RegisteredRelay | undefined {
    return this.list(set).find(({ relay }) => relay.id === id);
  }

  subscribe(listener: Parameters<RelayList['subscribe']>[0]): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  join(relay: RegisteredRelay): RegisteredRelay {
    this.#relays.push(relay);
    this.#tell('joined', relay);
    return relay;
  }

  leave(relay: RegisteredRelay): void {
    this.#relays = this.#relays.filter((each) => each !== relay);
    this.#tell('left', relay);
  }

  #tell(type: 'joined' | 'left', relay: RegisteredRelay): void {
    for (const listener of this.#listeners) {
      listener({ type, relay });
    }
  }
}

function opened(t: ExecutionContext) {
  const directory = new FakeDirectory();
  const { log, lines } = openLog();
  const clients = new RelayClients({ directory, protocols: ['ng'], clock: systemClock, log });
  clients.start();
  t.teardown(() => clients.stop());
  return { directory, clients, lines };
}

function ping(): ControlRequest {
  const reading = ng.read(encodeBody({ command: 'ping' }, 'bencode'));
  if (reading.kind !== 'request') {
    throw new Error('not a request');
  }
  return reading.request;
}

test('a relay is asked, and its reply comes back byte for byte', async (t) => {
  const { directory, clients } = opened(t);
  const server = await fakeRelay(t);
  const relay = directory.join(registered({ controlUrl: `udp:127.0.0.1:${server.port}` }));
  const asked = clients.ask(relay, ping(), 20_000);
  server.reply(await server.next(), 'whatever it says');
  t.deepEqual(await asked, { kind: 'replied', reply: Buffer.from('whatever it says') });
});

test('a relay that does not answer counts as silent until it answers something', async (t) => {
  const { directory, clients } = opened(t);
  const server = await fakeRelay(t);
  const relay = directory.join(registered({ controlUrl: `udp:127.0.0.1:${server.port}` }));
  t.is((await clients.ask(relay, ping(), 50)).kind, 'silent');
  t.false(clients.isSilent(relay), 'it had hardly any time');
  t.is((await clients.ask(relay, ping(), 250)).kind, 'silent');
  t.true(clients.isSilent(relay));
  const unanswered = new Set(server.heard.map(({ cookie }) => cookie));
  const asked = clients.ask(relay, ping(), 20_000);
  let request = await server.next();
  while (unanswered.has(request.cookie)) {
    request = await server.next();
  }
  server.reply(request, 'pong');
  t.is((await asked).kind, 'replied');
  t.false(clients.isSilent(relay));
});

test('a relay that has left is told to whoever waits for it; a late retry opens no socket to it', async (t) => {
  const { directory, clients } = opened(t);
  const server = await fakeRelay(t);
  const relay = directory.join(registered({ controlUrl: `udp:127.0.0.1:${server.port}` }));
  const waiting = clients.ask(relay, ping(), 20_000);
  await server.next();
  t.is(clients.size, 1);
  directory.leave(relay);
  t.is((await waiting).kind, 'refused');
  t.is(clients.size, 0);

  t.deepEqual(await clients.ask(relay, ping(), 20_000), {
    kind: 'refused',
    reason: 'relay r1 is not registered any more',
  });
  t.is(clients.size, 0);
  // Another life of the relay at the same address knows nothing of what the former one was to be told.
  directory.join(registered({ controlUrl: `udp:127.0.0.1:${server.port}`, instance: 'another life' }));
  t.is((await clients.ask(relay, ping(), 20_000)).kind, 'refused');
  await turns();
  t.is(new Set(server.heard.map(({ cookie }) => cookie)).size, 1);
});

test('two sets may share a relay: its client lives as long as one of them has it', async (t) => {
  const { directory, clients } = opened(t);
  const server = await fakeRelay(t);
  const controlUrl = `udp:127.0.0.1:${server.port}`;
  const [one, other] = ['a', 'b'].map((set) => directory.join(registered({ set, controlUrl })));
  const asked = clients.ask(one as RegisteredRelay, ping(), 20_000);
  directory.leave(other as RegisteredRelay);
  server.reply(await server.next(), 'pong');
  t.is((await asked).kind, 'replied');
});

test('a relay of another protocol is not asked, is not chosen, and the log says why', async (t) => {
  const { directory, clients, lines } = opened(t);
  const server = await fakeRelay(t);
  const controlUrl = `udp:127.0.0.1:${server.port}`;
  t.deepEqual(clients.unspoken(undefined, 'ng'), []);
  directory.join(registered({ id: 'r1' }));
  const relay = directory.join(registered({ id: 'r2', kind: 'rtpproxy', controlUrl }));
  directory.join(registered({ id: 'r3', kind: 'rtpproxy', set: 'other' }));
  t.deepEqual(clients.unspoken(undefined, 'ng'), ['r2']);
  t.deepEqual(clients.unspoken('other', 'ng'), ['r3']);
  t.deepEqual(clients.unspoken('other', 'rtpproxy'), []);
  const reason =
    'relay r2 is of kind rtpproxy, which is controlled by rtpproxy: no call that comes by another protocol is for it';
  t.deepEqual(await clients.ask(relay, ping(), 20_000), { kind: 'refused', reason });
  t.is(lines.find(({ relay: id }) => id === 'r2')?.['reason'], reason);
  t.is(server.heard.length, 0);
  directory.leave(relay);
  t.deepEqual(clients.unspoken(undefined, 'ng'), []);
});

test('a relay that is controlled by two protocols gets each where it speaks it', async (t) => {
  const { directory, clients, lines } = opened(t);
  const [ngServer, rtpproxyServer] = [await fakeRelay(t), await fakeRelay(t)];
  const relay = directory.join(
    registered({
      controlUrl: `udp:127.0.0.1:${ngServer.port}`,
      rtpproxyUrl: `udp:127.0.0.1:${rtpproxyServer.port}`,
    }),
  );
  t.deepEqual([clients.unspoken(undefined, 'ng'), clients.unspoken(undefined, 'rtpproxy')], [[], []]);
  t.deepEqual(lines, []);
  const both = [clients.ask(relay, ping(), 20_000), clients.ask(relay, ownRequest('V'), 20_000)];
  ngServer.reply(await ngServer.next(), 'pong');
  rtpproxyServer.reply(await rtpproxyServer.next(), '20040107');
  t.deepEqual(
    (await Promise.all(both)).map((asked) => asked.kind === 'replied' && asked.reply.toString()),
    ['pong', '20040107'],
  );
  t.is((await clients.ask(relay, ownRequest('V'), 250)).kind, 'silent');
  t.true(clients.isSilent(relay));
  directory.leave(relay);
  await turns();
  t.is(clients.size, 0);
  t.false(clients.isSilent(relay));
});

for (const controlUrl of [
  'udp:255.255.255.255:2223',
  'udp:127.0.0.1:0',
  'udp:[fe80::1]:2223',
  'udp:relay.invalid:2223',
  'tcp:127.0.0.1:2223',
  'udp:127.0.0.1',
]) {
  test(`a relay at ${controlUrl} is refused at once`, async (t) => {
    const { directory, clients } = opened(t);
    const relay = directory.join(registered({ controlUrl }));
    const asked = [1, 2, 3].map(() => clients.ask(relay, ping(), 20_000));
    for (const { kind } of await Promise.all(asked)) {
      t.is(kind, 'refused');
    }
  });
}
