import test from 'ava';
import { newCall } from '../../support/ng.js';
import { eventually } from '../../support/registry.js';
import { select } from '../../support/replica.js';
import { testWith } from '../../support/requirement.js';
import { PacketSocket, rtpPacket } from '../../support/rtp.js';
import { type Rtpproxy, rtpproxyPrograms, sessionsOn, startRtpproxy } from '../../support/rtpproxy.js';
import { enginesBehind, rtpproxyGateway } from './rtpproxy-scene.js';
import { builtinRelay, gateway } from './scene.js';

const isMedia = /^[1-9]\d{4} 127\.0\.0\.1$/;
/** A proxy's worker waits, and asks again after a second. */
const budgetMs = 1000;

async function timed<T>(ask: () => Promise<T>): Promise<{ reply: T; tookMs: number }> {
  const startedAtMs = performance.now();
  const reply = await ask();
  return { reply, tookMs: performance.now() - startedAtMs };
}

testWith.serial(rtpproxyPrograms, 'calls are each on one relay, and end there', async (t) => {
  const { engines, ask } = await enginesBehind(t, 2);
  const calls = Array.from({ length: 10 }, newCall);
  for (const { callId, fromTag, toTag } of calls) {
    t.regex(await ask(`Uc0,8 ${callId} 127.0.0.1 4000 ${fromTag};1`), isMedia);
    t.regex(await ask(`Lc0,8 ${callId} 127.0.0.1 4002 ${fromTag};1 ${toTag};1`), isMedia);
    t.regex(await ask(`Q ${callId} ${fromTag};1 ${toTag};1`), /^\d+ 0 0 0 0$/);
  }
  t.deepEqual(
    await Promise.all(engines.map((engine) => sessionsOn(engine))),
    [10, 0],
    'the first relay is free all the time',
  );
  t.is(
    await ask('Ib'),
    'sessions created: 10\nactive sessions: 10\nactive streams: 20\npackets received: 0\npackets transmitted: 0',
  );
  t.is(await ask('Gv nsess_created nsess_destroyed'), 'nsess_created=10 nsess_destroyed=0');
  t.is(await ask('G nosuch'), 'E68');
  for (const { callId, fromTag, toTag } of calls) {
    t.is(await ask(`D ${callId} ${toTag} ${fromTag}`), '0');
  }
  t.is(await sessionsOn(engines[0] as Rtpproxy), 0);
});

testWith.serial(
  rtpproxyPrograms,
  'a relay that is full, frozen or dead loses a new call to the next',
  async (t) => {
    const { engines, ask, bindingOf } = await enginesBehind(t, 3, { portPairs: 2 });
    const [first, second, third] = engines as [Rtpproxy, Rtpproxy, Rtpproxy];
    await first.pause();
    await second.kill();
    const { reply, tookMs } = await timed(() => ask('U c@h 127.0.0.1 4000 f;1'));
    t.regex(reply, isMedia);
    t.true(tookMs < budgetMs, `${tookMs} ms`);
    t.is((await bindingOf('c@h'))?.relay, 'r3');
    t.is(await sessionsOn(third), 1);
    first.resume();
    await eventually(async () => (await sessionsOn(first)) === 0, 'end of what the frozen one was asked for');
    // It has two pairs of ports, and finds the second by chance.
    await eventually(async () => /^\d/.test(await third.ask('U own 127.0.0.1 4000 f')), 'last port');
    await first.kill();
    t.is(await ask('U d@h 127.0.0.1 4000 f;1'), 'E72', 'in the words of the one that is full');
  },
);

testWith.serial(
  rtpproxyPrograms,
  'a call whose relay is gone moves with its next U, and both parties’ media are told the new one',
  async (t) => {
    const { engines, ask, client, keys, bindingOf } = await enginesBehind(t, 2);
    const [first, second] = engines as [Rtpproxy, Rtpproxy];
    const [a, b] = [await PacketSocket.open('127.0.0.1'), await PacketSocket.open('127.0.0.1')];
    t.teardown(async () => {
      await a.close();
      await b.close();
    });
    t.regex(await ask(`U c@h 127.0.0.1 ${a.port} f;1`), isMedia);
    t.regex(await ask('U c@h 127.0.0.1 5000 f;2'), isMedia);
    t.regex(await ask(`L c@h 127.0.0.1 ${b.port} f;1 t;1`), isMedia);
    t.regex(await ask('L c@h 127.0.0.1 5002 f;2 t;2'), isMedia);
    await eventually(async () => (await bindingOf('c@h')) !== undefined, 'binding');
    await first.kill();
    t.regex(await ask('L c@h 127.0.0.1 4002 f;1 t;1'), /^E/, 'it is registered, and does not answer');
    await client.kv.deleteRange({ key: keys.relay('default', 'r1') });
    // The callee's re-INVITE, of which the caller has not heard yet.
    let forCaller = '';
    await eventually(async () => {
      forCaller = await ask(`U c@h 127.0.0.1 ${b.port} t;1 f;1`);
      return isMedia.test(forCaller);
    }, 'move');
    t.like(await bindingOf('c@h'), { relay: 'r2', generation: 2 });
    t.is(await sessionsOn(second), 2, 'both streams');
    const forCallee = await second.ask(`L c@h 127.0.0.1 ${a.port} t;1 f;1`);
    t.is(await second.ask(`U c@h 127.0.0.1 ${b.port} t;1 f;1`), forCaller, 'the same session');
    // What the caller sends to its new port reaches the callee, and the other way round.
    const [toCaller, toCallee] = [forCaller, forCallee].map((reply) => Number(reply.split(' ')[0]));
    const packet = rtpPacket(7, 1);
    await b.send(packet, toCallee as number, '127.0.0.1');
    await eventually(async () => {
      await a.send(packet, toCaller as number, '127.0.0.1');
      await b.send(packet, toCallee as number, '127.0.0.1');
      return a.heard.length > 0 && b.heard.length > 0;
    }, 'media');
    t.is(await ask('D c@h f t'), '0');
    t.is(await sessionsOn(second), 0);
  },
);

testWith.serial(
  rtpproxyPrograms,
  'a D that a silent relay does not answer is answered, and done later',
  async (t) => {
    const { engines, ask, bindingOf } = await enginesBehind(t, 1);
    const [engine] = engines as [Rtpproxy];
    await ask('U c@h 127.0.0.1 4000 f;1');
    await ask('L c@h 127.0.0.1 4002 f;1 t;1');
    await engine.pause();
    const u = await timed(() => ask('U c@h 127.0.0.1 4000 f;1 t;1'));
    t.is(u.reply, 'E997');
    const l = await timed(() => ask('L c@h 127.0.0.1 4002 f;1 t;1'));
    t.is(l.reply, 'E997');
    const d = await timed(() => ask('D c@h f t'));
    t.is(d.reply, '0');
    for (const { tookMs } of [u, l, d]) {
      t.true(tookMs < budgetMs, `${tookMs} ms`);
    }
    engine.resume();
    await eventually(async () => (await sessionsOn(engine)) === 0, 'end of the session');
    await eventually(async () => (await bindingOf('c@h'))?.released === true, 'release');
  },
);

/** Who has answered a forked call first sends media early; the other one is the one that answers. */
const fork = [
  'Uc0,8 c@h 127.0.0.1 4000 f;1',
  'Lc0,8 c@h 127.0.0.1 4100 f;1 tagB;1',
  'Lc0,8 c@h 127.0.0.1 4200 f;1 tagC;1',
];

testWith.serial(
  rtpproxyPrograms,
  'the branch of a fork that has lost does not end the call of the one that has won',
  async (t) => {
    const { engines, ask, replica, bindingOf } = await enginesBehind(t, 1);
    const [engine] = engines as [Rtpproxy];
    for (const command of fork) {
      t.regex(await engine.ask(command), isMedia);
    }
    t.is(await engine.ask('D c@h f tagB'), '0');
    t.is(await sessionsOn(engine), 0, 'with a plain rtpproxy the winner is silent');

    for (const [loser, winner] of [
      ['tagB', 'tagC'],
      ['tagC', 'tagB'],
    ]) {
      for (const command of fork) {
        t.regex(await ask(command), isMedia);
      }
      t.is(await ask(`D c@h f ${loser}`), '0');
      t.is(await sessionsOn(engine), 1);
      t.regex(await ask(`Q c@h f;1 ${winner};1`), /^\d+ 0 0 0 0$/);
      t.is(await ask(`D c@h ${winner} f`), '0', 'a BYE by the winner');
      t.is(await sessionsOn(engine), 0);
      await eventually(async () => (await bindingOf('c@h'))?.released === true, 'release');
    }
    // One device is busy, and another one still rings.
    await ask('Uc0,8 d@h 127.0.0.1 4000 f;1');
    t.is(await ask('D d@h f busy'), '0');
    t.regex(await ask('Lc0,8 d@h 127.0.0.1 4100 f;1 tagB;1'), isMedia);
    t.is(await ask('D d@h f tagB'), '0');
    t.is(await sessionsOn(engine), 0);
    t.is(replica.gatewayCounters('rtpproxy')['branchesLeft'], 3);
  },
);

testWith.serial(
  rtpproxyPrograms,
  'one cookie of two proxies is two requests; of one proxy it is one',
  async (t) => {
    const { engines, port } = await enginesBehind(t, 1);
    const [engine] = engines as [Rtpproxy];
    const proxies = [await PacketSocket.open('127.0.0.1'), await PacketSocket.open('127.0.0.1')] as const;
    t.teardown(async () => {
      await Promise.all(proxies.map((proxy) => proxy.close()));
    });
    const replies = async (to: number, cookie: string) => {
      const texts: string[] = [];
      for (const [i, proxy] of proxies.entries()) {
        const before = proxy.heard.length;
        await proxy.send(Buffer.from(`${cookie} U ${cookie}-${i} 127.0.0.1 4000 f`), to, '127.0.0.1');
        texts.push((await proxy.nth(before + 1)).data.toString());
      }
      return texts;
    };
    const direct = await replies(engine.port, 'same_1');
    t.is(direct[0], direct[1], 'a plain rtpproxy mixes them up');
    const through = await replies(port, 'same_2');
    t.not(through[0], through[1]);
    t.regex(through[0] as string, /^same_2 \d{5} 127\.0\.0\.1\n$/);
    // A copy gets the same answer, and is not carried out.
    const created = await engine.ask('G nsess_created');
    const [one] = proxies;
    const before = one.heard.length;
    await one.send(Buffer.from('same_2 U same_2-0 127.0.0.1 4000 f'), port, '127.0.0.1');
    t.is((await one.nth(before + 1)).data.toString(), through[0] as string);
    t.is(await engine.ask('G nsess_created'), created);
  },
);

testWith.serial(
  rtpproxyPrograms,
  'a call that a relay carries and the registry does not know is adopted',
  async (t) => {
    const { engines, ask, bindingOf } = await enginesBehind(t, 2);
    const [, second] = engines as [Rtpproxy, Rtpproxy];
    for (const call of ['a@h', 'b@h', 'c@h']) {
      await second.ask(`U ${call} 127.0.0.1 4000 f;1`);
    }
    t.regex(await ask('L a@h 127.0.0.1 4002 f;1 t;1'), isMedia);
    t.is((await bindingOf('a@h'))?.relay, 'r2');
    t.regex(await ask('U b@h 127.0.0.1 4002 t;1 f;1'), isMedia);
    t.is((await bindingOf('b@h'))?.relay, 'r2');
    t.is(await ask('D c@h f'), '0');
    t.is(await sessionsOn(second), 2);
    // Nobody knows these.
    t.is(await ask('L x@h 127.0.0.1 4002 f;1 t;1'), '0');
    t.is(await ask('D y@h f t'), '0');
    t.is(await ask('Q z@h f;1 t;1'), 'E50');
  },
);

testWith.serial(
  rtpproxyPrograms,
  'both legs that a B2BUA updates are one call, which is answered then',
  async (t) => {
    const { engines, ask, bindingOf } = await enginesBehind(t, 2);
    const [first] = engines as [Rtpproxy, Rtpproxy];
    t.regex(await ask('U c@h-0 127.0.0.1 4000 mine'), isMedia);
    t.regex(await ask('U c@h-0 127.0.0.1 4002 theirs mine'), isMedia);
    t.is(await sessionsOn(first), 1);
    // A second stream goes beside the first, although the first relay would be passed by now.
    t.regex(await ask('U c@h-1 127.0.0.1 4004 mine'), isMedia);
    t.is((await bindingOf('c@h-1'))?.relay, 'r1');
    t.is(await ask('D c@h-0 mine theirs'), '0');
    t.is(await ask('D c@h-1 mine theirs'), '0');
    t.is(await sessionsOn(first), 0);
  },
);

testWith.serial(
  rtpproxyPrograms,
  'what relays share, the gateway has: and it never ends all calls',
  async (t) => {
    const [one, other] = [await startRtpproxy(t), await startRtpproxy(t)];
    const { ask } = await rtpproxyGateway(t, [
      { id: 'r1', controlUrl: one.controlUrl },
      { id: 'r2', controlUrl: other.controlUrl, features: ['vf-20040107', 'vf-20050322'] },
    ]);
    t.is(await ask('V'), '20040107');
    t.is(await ask('VF 20050322'), '1');
    t.is(await ask('VF 20071116'), '0', 'one of them is old');
    t.is(await ask('VF 20081224'), '0', 'timeouts are not told on');
    t.is(await ask('VF 19990101'), '0');
    await one.ask('U own 127.0.0.1 4000 f');
    t.is(await ask('X'), 'E0');
    t.is(await sessionsOn(one), 1);
  },
);

test.serial('a set without a relay of the protocol: the proxy is told, and the log says why', async (t) => {
  const relay = await builtinRelay(t);
  const { ask, lines, replica } = await rtpproxyGateway(t, [
    { id: 'r1', kind: 'builtin', features: ['ipv4'], controlUrl: relay.controlUrl },
  ]);
  t.is(await ask('VF 20050322'), '1', 'it may be there tomorrow');
  t.is(await ask('U c@h 127.0.0.1 4000 f;1'), 'E72');
  const told = lines.find(({ msg }) => msg === 'call refused');
  t.like(told, { cause: 'no-relay', set: 'default', protocol: 'rtpproxy' });
  t.regex(String(told?.['reason']), /relay r1 is of kind builtin, which is controlled by ng/);
  t.is(replica.gatewayCounters('rtpproxy')['failovers'], 0);
  t.is(relay.ngCounters.received, 0);
});

test.serial('an rtpproxy behind the ng front alone gets no call, and the proxy hears why', async (t) => {
  const { proxy, lines } = await gateway(t, [{ id: 'r1', kind: 'rtpproxy', controlUrl: 'udp:127.0.0.1:9' }]);
  const { warning } = await proxy.offer(newCall(), 'v=0');
  t.regex(String(warning), /relay r1 is of kind rtpproxy, which is controlled by rtpproxy/);
  t.true(lines.some(({ msg }) => msg === 'call refused'));
});

test.serial('networks that are not allowed are not answered', async (t) => {
  const { port, replica } = await rtpproxyGateway(t, [], { HOLDFAST_RTPPROXY_ALLOW: '192.0.2.0/24' });
  const proxy = await PacketSocket.open('127.0.0.1');
  t.teardown(() => proxy.close());
  await proxy.send(Buffer.from('c V'), port, '127.0.0.1');
  await eventually(() => replica.gatewayCounters('rtpproxy')['notAllowed'] === 1, 'count');
  t.is(replica.gatewayCounters('rtpproxy')['replied'], 0);
});

test.serial('a source that asks more often than it may is not answered, and others are', async (t) => {
  const { port, replica, ask } = await rtpproxyGateway(t, [], { HOLDFAST_RTPPROXY_RATE: '10' });
  const flood = await PacketSocket.open('127.0.0.2');
  t.teardown(() => flood.close());
  for (let i = 0; i < 100; i++) {
    await flood.send(Buffer.from(`${i} V`), port, '127.0.0.1');
  }
  await eventually(() => (replica.gatewayCounters('rtpproxy')['tooMany'] ?? 0) > 50, 'count');
  t.is(await ask('V'), '20040107');
});

testWith.serial(
  rtpproxyPrograms,
  'a call that is being set up on one rtpproxy, and was answered on another, is served there',
  async (t) => {
    const { engines, ask, selection, bindingOf } = await enginesBehind(t, 2);
    const [first, second] = engines as [Rtpproxy, Rtpproxy];
    const uses = [
      (id: string) => `U ${id} 127.0.0.1 4000 f;1 t;1`,
      (id: string) => `L ${id} 127.0.0.1 4002 f;1 t;1`,
      (id: string) => `Q ${id} f;1 t;1`,
      (id: string) => `D ${id} f t`,
    ];
    for (const use of uses) {
      const { callId } = newCall();
      await select(selection, { callId });
      t.is((await bindingOf(callId))?.relay, 'r1');
      // As a gateway does that is cut off from etcd.
      await second.ask(`U ${callId} 127.0.0.1 4000 f;1`);
      await second.ask(`L ${callId} 127.0.0.1 4002 f;1 t;1`);
      t.regex(await ask(use(callId)), /^(0$|\d)/, use(callId));
      t.is((await bindingOf(callId))?.relay, 'r2', use(callId));
    }
    t.deepEqual([await sessionsOn(first), await sessionsOn(second)], [0, 3]);
  },
);
