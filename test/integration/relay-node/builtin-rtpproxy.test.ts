import test from 'ava';
import { audioSdp } from '../../support/ng.js';
import { freeUdpBlock } from '../../support/ports.js';
import { PacketSocket } from '../../support/rtp.js';
import { mediaOf, rtpproxyScene, toldBy } from './builtin-rtpproxy-scene.js';
import { party, until } from './builtin-scene.js';

for (const [address, six] of [
  ['127.0.0.1', ''],
  ['::1', '6'],
] as const) {
  test(`RTP passes both ways through a session of U and L (${address})`, async (t) => {
    const { ask } = await rtpproxyScene(t, { mediaAddress: address });
    const [caller, callee] = [await party(t, address), await party(t, address)];
    const offered = await ask(`U${six}c0,8,101 c@h ${mediaOf(caller)} f;1`);
    t.is(offered.endsWith(' 6'), six === '6');
    const forCallee = toldBy(offered);
    const forCaller = toldBy(await ask(`L${six}c0,8,101 c@h ${mediaOf(callee)} f;1 t;1`));
    t.is(forCaller.address, address);
    t.not(forCaller.port, forCallee.port);

    const sent = await caller.sendRtp(forCaller);
    const heard = await callee.rtp.nth(1);
    t.deepEqual(heard.data, sent);
    t.is(heard.from.port, forCallee.port);
    const back = await callee.sendRtp(forCallee);
    t.deepEqual((await caller.rtp.nth(1)).data, back);
    t.is(await ask('Q c@h f;1 t;1'), '60 1 1 2 0');
    t.is(await ask('D c@h f t'), '0');
    t.is(await ask('D c@h f t'), 'E50');
  });
}

test('RTCP is sent to the port after that of RTP, if nothing has come from there', async (t) => {
  const { ask } = await rtpproxyScene(t);
  const caller = await party(t);
  const port = await freeUdpBlock(2);
  const rtcp = await PacketSocket.open('127.0.0.1', port + 1);
  t.teardown(() => rtcp.close());
  await ask(`U c ${mediaOf(caller)} f`);
  const forCaller = toldBy(await ask(`L c 127.0.0.1 ${port} f t`));
  const report = await caller.sendRtcp(forCaller);
  t.deepEqual((await rtcp.nth(1)).data, report);
});

test('either party may change its media; both keep their ports', async (t) => {
  const { ask } = await rtpproxyScene(t);
  const [caller, callee, moved] = [await party(t), await party(t), await party(t)];
  const forCallee = await ask(`Uc8 c ${mediaOf(caller)} f;1`);
  const forCaller = await ask(`Lc8 c ${mediaOf(callee)} f;1 t;1`);
  t.is(await ask(`Uc8 c ${mediaOf(moved)} t;1 f;1`), forCaller);
  t.is(await ask(`Lc8 c ${mediaOf(caller)} t;1 f;1`), forCallee);
  const sent = await caller.sendRtp(toldBy(forCaller));
  t.deepEqual((await moved.rtp.nth(1)).data, sent);
  t.is(await ask(`Uc8 c ${mediaOf(caller)} f;1 t;1`), forCallee);
});

test('without L: the second U knows its session by its second tag, and the call is an answered one', async (t) => {
  const { ask, relay, clock } = await rtpproxyScene(t);
  const [caller, callee] = [await party(t), await party(t)];
  const forCallee = toldBy(await ask(`UR127.0.0.1 c-0 ${mediaOf(caller)} own /tmp/b2b.sock r%201`));
  const forCaller = toldBy(await ask(`UR127.0.0.1 c-0 ${mediaOf(callee)} other own /tmp/b2b.sock r%201`));
  const sent = await callee.sendRtp(forCallee);
  t.deepEqual((await caller.rtp.nth(1)).data, sent);
  await caller.sendRtp(forCaller);
  await callee.rtp.nth(1);
  t.is(relay.media.sessions.size, 1);
  clock.advance(61_000);
  t.is(relay.media.sessions.size, 0, 'after a minute of silence');
});

test('what is not RTP passes where no payload types are named, as fax does', async (t) => {
  const { ask, relay } = await rtpproxyScene(t);
  const [caller, callee] = [await party(t), await party(t)];
  await ask(`Uc8 c ${mediaOf(caller)} f`);
  const forCaller = toldBy(await ask(`Lc8 c ${mediaOf(callee)} f t`));
  const packet = Buffer.from([0, 1, 2, 3]);
  await caller.rtp.send(packet, forCaller.port, forCaller.address);
  await until(() => relay.media.traffic.malformedPackets === 1);
  await ask(`U c ${mediaOf(caller)} f t`);
  await ask(`L c ${mediaOf(callee)} f t`);
  await caller.rtp.send(packet, forCaller.port, forCaller.address);
  t.deepEqual((await callee.rtp.nth(1)).data, packet);
});

test('hold: nothing is sent to 0.0.0.0, and the call outlives the silence', async (t) => {
  const { ask, relay, clock } = await rtpproxyScene(t);
  const [caller, callee] = [await party(t), await party(t)];
  const forCallee = toldBy(await ask(`U c ${mediaOf(caller)} f`));
  await ask(`L c ${mediaOf(callee)} f t`);
  await ask('U c 0.0.0.0 4000 f t');
  await callee.sendRtp(forCallee);
  await until(() => relay.media.traffic.undeliveredPackets === 1);
  t.is(await ask('Q c f t'), '3600 0 1 0 1');
  clock.advance(120_000);
  t.is(relay.media.sessions.size, 1);
});

test('streams are sessions of their own; D without a number ends them all', async (t) => {
  const { ask, relay } = await rtpproxyScene(t);
  const secondForCaller = 'Lc96 c 127.0.0.1 0 f;2 t;2';
  const ports: string[] = [];
  for (const command of [
    'Uc0 c 127.0.0.1 4000 f;1',
    'Uc96 c 127.0.0.1 4010 f;2',
    'Lc0 c 127.0.0.1 4020 f;1 t;1',
    secondForCaller,
  ]) {
    ports.push(await ask(command));
  }
  t.is(new Set(ports.map((reply) => toldBy(reply).port)).size, 4);
  t.is(relay.media.load().calls, 1, 'they are one call');
  t.is(await ask('Q c f t'), 'E50');
  t.is(await ask('D c f;1'), '0');
  t.is(await ask('L c 127.0.0.1 1 f;1 t;1'), '0');
  t.is(await ask(secondForCaller), ports.at(-1) ?? '');
  t.is(await ask('D c t f'), '0');
  t.is(await ask('D c f'), 'E50');
  t.is(relay.media.load().calls, 0);
});

test('branches behind the Call-ID are sessions of one call', async (t) => {
  const { ask, relay } = await rtpproxyScene(t);
  await ask('U c;z9hG4bK1 127.0.0.1 4000 f;1');
  await ask('U c;z9hG4bK2 127.0.0.1 4000 f;1');
  t.deepEqual(relay.media.sessions.ids(), ['c']);
  t.is(await ask('L c 127.0.0.1 4002 f;1 t;1'), '0', 'that is another session');
  t.is(await ask('D c f'), 'E50');
  t.is(await ask('D c;z9hG4bK1 f'), '0');
  t.is(await ask('L c;z9hG4bK1 127.0.0.1 4002 f;1 t;1'), '0');
  toldBy(await ask('L c;z9hG4bK2 127.0.0.1 4002 f;1 t;1'));
});

test('the D of a branch that has lost does not silence the one that has won', async (t) => {
  const { ask, relay } = await rtpproxyScene(t);
  const [caller, loser, winner] = [await party(t), await party(t), await party(t)];
  const forCallee = toldBy(await ask(`Uc8 c ${mediaOf(caller)} f;1`));
  t.is(await ask('D c f busy'), '0', 'another branch may still answer');
  await ask(`Lc8 c ${mediaOf(loser)} f;1 tB;1`);
  const forCaller = toldBy(await ask(`Lc8 c ${mediaOf(winner)} f;1 tC;1`));
  t.is(await ask('D c f tB'), '0');
  t.is(await ask('D c f tD'), '0', 'nobody of that name has answered');
  const sent = await caller.sendRtp(forCaller);
  t.deepEqual((await winner.rtp.nth(1)).data, sent);
  const back = await winner.sendRtp(forCallee);
  t.deepEqual((await caller.rtp.nth(1)).data, back);
  t.is(await ask('D c tC f'), '0', 'a BYE of the party that has answered');
  t.is(relay.media.sessions.size, 0);
});

test('a weak session lives until both parties have ended it', async (t) => {
  const { ask } = await rtpproxyScene(t);
  await ask('Uw c 127.0.0.1 4000 f');
  await ask('L c 127.0.0.1 4002 f t');
  await ask('Uw c 127.0.0.1 4002 t f');
  t.is(await ask('D c f t'), '0');
  t.is(await ask('Dw c f t'), '0');
  toldBy(await ask('L c 127.0.0.1 4002 f t'));
  t.is(await ask('Dw c t f'), '0');
  t.is(await ask('L c 127.0.0.1 4002 f t'), '0');
  t.is(await ask('Dw c f t'), 'E50');
});

test('what the relay does not do is refused with the number that rtpproxy has for it, and begins no call', async (t) => {
  const { ask, relay } = await rtpproxyScene(t);
  const cases = {
    E0: ['P c /tmp/ann session f', 'S c f', 'R c f', 'C c name f', 'N c f', 'X'],
    E3: ['U c 127.0.0.1 4000 f && L 127.0.0.1 4002', 'Q c f && D'],
    E8: ['Dz c f'],
    E11: ['Uee c 127.0.0.1 4000 f', 'LEI c 127.0.0.1 4000 f t'],
    E12: ['UIEc0 c 127.0.0.1 4000 f'],
    E13: ['Uz c 127.0.0.1 4000 f', 'Uz1000 c 127.0.0.1 4000 f'],
    E14: ['Uc c 127.0.0.1 4000 f'],
    E15: ['Ul c 127.0.0.1 4000 f', 'Ul127.0.0.3 c 127.0.0.1 4000 f', 'Ul{lan} c 127.0.0.1 4000 f'],
    E16: ['Ur c 127.0.0.1 4000 f', 'Urfoo c 127.0.0.1 4000 f'],
    E35: ['Un c 127.0.0.1 4000 f', 'Uz20 c 127.0.0.1 4000 f', 'Uq c 127.0.0.1 4000 f'],
    E36: ['U6 c ::1 4000 f', 'Ur::1 c 127.0.0.1 4000 f'],
    E37: ['U c example.org 4000 f', 'U c 127.0.0.1 x f', 'U c 127.0.0.1 -1 f', 'U c 127.0.0.1 70000 f'],
    E50: ['D c f', 'Q c f'],
    E68: ['G nosuch'],
  };
  for (const [number, commands] of Object.entries(cases)) {
    for (const command of commands) {
      t.is(await ask(command), number, command);
    }
  }
  t.is(relay.media.sessions.size, 0);
  toldBy(await ask('Ul127.0.0.1r127.0.0.9c0,8s c 127.0.0.1 4000 f'));
  t.is(await ask('Q c f t nosuch'), 'E62');
});

test('an address of the other version of IP is refused where 6 says so, and ignored where it does not', async (t) => {
  const { ask } = await rtpproxyScene(t, { mediaAddress: '::1' });
  t.is(await ask('U c 127.0.0.1 4000 f'), 'E36');
  t.is(await ask('U6 c 127.0.0.1 4000 f'), 'E37');
  const four = await rtpproxyScene(t);
  const [caller, callee] = [await party(t), await party(t)];
  const forCallee = toldBy(await four.ask('U c ::1 4000 f'));
  const forCaller = toldBy(await four.ask(`L c ${mediaOf(callee)} f t`));
  await caller.sendRtp(forCaller);
  await callee.rtp.nth(1);
  await callee.sendRtp(forCallee);
  await caller.rtp.nth(1);
  t.pass('it is reached where it sends from');
});

test('the letters of both sides, the speaker first, choose interfaces when a session begins', async (t) => {
  const interfaces = [
    { name: 'internal', address: '127.0.0.1', advertised: '127.0.0.1' },
    { name: 'external', address: '127.0.0.2', advertised: '127.0.0.2' },
    { name: 'external', address: '::1', advertised: '::1' },
  ];
  const { ask } = await rtpproxyScene(t, { interfaces });
  const told = async (command: string) => (await ask(command)).replace(/^\d+ /, '');
  t.is(await told('Uie a 127.0.0.1 4000 f'), '127.0.0.2');
  t.is(await told('Lei a 127.0.0.1 4002 f t'), '127.0.0.1');
  t.is(await told('Uei a 127.0.0.1 4000 f t'), '127.0.0.2', 'fixed from its beginning');
  t.is(await told('Ue b 127.0.0.1 4000 f'), '127.0.0.1', 'one letter is the side of the speaker');
  t.is(await told('L b 127.0.0.1 4002 f t'), '127.0.0.2');
  t.is(await told('U c 127.0.0.1 4000 f'), '127.0.0.1');
  t.is(await told('Uei6 d ::1 4000 f'), '127.0.0.1');
  t.is(await told('Lie d 127.0.0.1 4002 f t'), '::1 6');
  t.is(await ask('Uii6 e ::1 4000 f'), 'E36');
  t.is(await ask('Ueie e 127.0.0.1 4000 f'), 'E11');
  t.is(await told('Ul::1 g 127.0.0.1 4000 f'), 'E36', 'not of the version of the party');
  t.is(await told('Ul127.0.0.2 h 127.0.0.1 4000 f'), '127.0.0.2');
  t.is(await ask('Ur192.0.2.1 i 127.0.0.1 4000 f'), 'E16', 'either of two may lead there');
  const [four, six] = [await party(t), await party(t, '::1')];
  const forFour = toldBy(await ask(`Uei6 k ${mediaOf(six)} f`));
  const forSix = toldBy(await ask(`Lie k ${mediaOf(four)} f t`));
  const sent = await six.sendRtp(forSix);
  t.deepEqual((await four.rtp.nth(1)).data, sent);
  await four.sendRtp(forFour);
  await six.rtp.nth(1);
});

test('a full relay, and one without ports, says so in numbers', async (t) => {
  const { ask } = await rtpproxyScene(t, { maxSessions: 1, pairs: 3 });
  const forCallee = await ask('U c 127.0.0.1 4000 f;1');
  t.is(await ask('U d 127.0.0.1 4000 f;1'), 'E72', 'as many calls as are allowed');
  t.is(await ask('U c 127.0.0.1 4000 f;1'), forCallee);
  t.is(await ask('U c 127.0.0.1 4000 f;2'), 'E72', 'a stream takes two pairs');
  await ask('L c 127.0.0.1 4002 f;1 tB;1');
  await ask('L c 127.0.0.1 4004 f;1 tC;1');
  t.is(await ask('L c 127.0.0.1 4006 f;1 tD;1'), 'E71');
  t.is(await ask('D c f'), '0');
  toldBy(await ask('U d 127.0.0.1 4000 f;1'));
});

test('an L without a second tag answers all the same', async (t) => {
  const { ask, relay } = await rtpproxyScene(t);
  await ask('U c 127.0.0.1 4000 f');
  const forCaller = await ask('L c 127.0.0.1 4002 f');
  toldBy(forCaller);
  t.is(await ask('L c 127.0.0.1 4002 f'), forCaller);
  t.is(await ask('D c f t'), '0');
  t.is(relay.media.sessions.size, 0);
});

test('both protocols control the same calls', async (t) => {
  const { ask, proxy, relay } = await rtpproxyScene(t, { maxSessions: 2 });
  await ask('U c@h 127.0.0.1 4000 f;1');
  t.deepEqual(await proxy.list(), ['c@h']);
  t.is((await proxy.query({ callId: 'c@h' }))['result'], 'ok');
  const sdp = audioSdp({ address: '127.0.0.1', port: 4000 });
  const call = { callId: 'd@h', fromTag: 'a', toTag: 'b' };
  await proxy.offer(call, sdp);
  t.is(await ask('U e@h 127.0.0.1 4000 f'), 'E72');
  t.regex(await ask('I'), /^active sessions: 2$/m);
  await proxy.request({ command: 'delete', 'call-id': 'c@h' });
  t.is(await ask('Q c@h f;1'), 'E50');
  t.is(await ask('D d@h a'), '0');
  t.is(relay.media.sessions.size, 0);
});

test('versions, counts and counters', async (t) => {
  const { ask, relay } = await rtpproxyScene(t);
  const [caller, callee] = [await party(t), await party(t)];
  t.is(await ask('V'), '20040107');
  const features = await relay.features();
  for (const [day, has] of [
    ['20050322', true],
    ['20071116', false],
    ['20080403', true],
    ['20081102', true],
    ['20081224', true],
    ['19990101', false],
  ] as const) {
    t.is(await ask(`VF ${day}`), has ? '1' : '0', day);
    t.is(features.includes(`vf-${day}`), has, day);
  }
  await ask(`U c ${mediaOf(caller)} f`);
  const forCaller = toldBy(await ask(`L c ${mediaOf(callee)} f t`));
  await caller.sendRtp(forCaller);
  await callee.rtp.nth(1);
  t.is(await ask('Qv c f t'), 'ttl=60 npkts_ina=1 npkts_ino=0 nrelayed=1 ndropped=0');
  t.is(await ask('Qv c f t nrelayed ttl'), 'nrelayed=1 ttl=60');
  t.is(
    await ask('Ib'),
    'sessions created: 1\nactive sessions: 1\nactive streams: 2\npackets received: 1\npackets transmitted: 1',
  );
  t.regex(await ask('Il'), /\naverage load: (0\.\d{6}|1\.000000)$/);
  t.is(await ask('G'), '');
  t.is(await ask('Gv nsess_created npkts_relayed'), 'nsess_created=1 npkts_relayed=1');
  const [before] = (await ask('G ncmds_rcvd')).split(' ');
  t.is(await ask('G ncmds_rcvd'), `${Number(before) + 1}`);
});

test('a copy of a command gets the same reply, and is not carried out again', async (t) => {
  const { relay } = await rtpproxyScene(t);
  const socket = await PacketSocket.open('127.0.0.1');
  t.teardown(() => socket.close());
  const port = Number(/:(\d+)$/.exec(relay.rtpproxyUrl ?? '')?.[1]);
  for (const [index, text] of ['k1 U c 127.0.0.1 4000 f', 'k2 D c f', 'k2 D c f'].entries()) {
    await socket.send(Buffer.from(text), port, '127.0.0.1');
    await socket.nth(index + 1);
  }
  t.deepEqual(
    socket.heard.slice(1).map(({ data }) => data.toString()),
    ['k2 0\n', 'k2 0\n'],
  );
});

test('requests about one call are taken in turn', async (t) => {
  const { ask, relay } = await rtpproxyScene(t);
  const u = 'U c 127.0.0.1 4000 f';
  const replies = await Promise.all([ask(u), ask(u), ask('D c f'), ask(u), ask('L c 127.0.0.1 4002 f t')]);
  t.is(replies[0], replies[1]);
  t.is(replies[2], '0');
  t.is(relay.media.sessions.size, 1);
});

test('a control port that another process has stops the start, with a reason', async (t) => {
  const { relay } = await rtpproxyScene(t);
  const port = Number(/:(\d+)$/.exec(relay.rtpproxyUrl ?? '')?.[1]);
  await t.throwsAsync(rtpproxyScene(t, { rtpproxyListen: { host: '127.0.0.1', port } }), {
    message: /the rtpproxy protocol: another process has it/,
  });
});
