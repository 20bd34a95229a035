import type { ExecutionContext } from 'ava';
import type { NgDictionary } from '../../../services/control/ng/message.js';
import {
  audioSdp,
  type CallTags,
  mediaAddresses,
  newCall,
  type ProxyClient,
  relayedTo,
  reversed,
} from '../../support/ng.js';
import type { RtpParty, RtpTarget } from '../../support/rtp.js';
import { suite } from './builtin-comparison.js';
import { party, sdpOf } from './builtin-scene.js';

const interfaces = [
  { name: 'internal', address: '127.0.0.1', advertised: '127.0.0.1' },
  { name: 'external', address: '127.0.0.2', advertised: '127.0.0.2' },
  { name: 'external', address: '::1', advertised: '::1' },
  { name: 'natted', address: '127.0.0.3', advertised: '203.0.113.9' },
];
const refusal = (option: string) => `Option "${option}" is not supported by this relay`;

interface Bridged {
  readonly call: CallTags;
  readonly forCallee: RtpTarget;
  readonly forCaller: RtpTarget;
}

async function bridged(
  proxy: ProxyClient,
  caller: RtpParty,
  callee: RtpParty,
  extra: NgDictionary,
): Promise<Bridged> {
  const call = newCall();
  const forCallee = relayedTo(await proxy.offer(call, sdpOf(caller), { extra: { ...believed, ...extra } }));
  const forCaller = relayedTo(await proxy.answer(call, sdpOf(callee), believed));
  return { call, forCallee, forCaller };
}

/** The addresses of the SDP. */
const believed = { 'received-from': [] };

async function mediaPass(
  t: ExecutionContext,
  [caller, forCaller]: readonly [RtpParty, RtpTarget],
  [callee, forCallee]: readonly [RtpParty, RtpTarget],
): Promise<void> {
  const [before, beforeBack] = [callee.rtp.heard.length, caller.rtp.heard.length];
  const sent = await caller.sendRtp(forCaller);
  const heard = await callee.rtp.nth(before + 1);
  t.deepEqual(heard.data, sent);
  t.deepEqual([heard.from.address, heard.from.port], [forCallee.address, forCallee.port], 'symmetric');
  await callee.sendRtp(forCallee);
  t.is((await caller.rtp.nth(beforeBack + 1)).from.port, forCaller.port);
  const heardRtcp = callee.rtcp.heard.length;
  await caller.sendRtcp(forCaller);
  t.is((await callee.rtcp.nth(heardRtcp + 1)).from.port, forCallee.rtcpPort);
}

const direction = ['internal', 'external'];

suite(
  'each party is told the address of its side, and media pass from one to the other',
  async (t, proxy) => {
    const [caller, callee] = [await party(t), await party(t)];
    const { call, forCallee, forCaller } = await bridged(proxy, caller, callee, { direction });
    t.deepEqual([forCallee.address, forCaller.address], ['127.0.0.2', '127.0.0.1']);
    await mediaPass(t, [caller, forCaller], [callee, forCallee]);

    const again = { inDialog: true, extra: believed };
    t.deepEqual(relayedTo(await proxy.offer(call, sdpOf(caller, 2), again)), forCallee, 'as before');
    const back = { ...again, extra: { ...believed, direction: direction.toReversed() } };
    t.deepEqual(relayedTo(await proxy.offer(reversed(call), sdpOf(callee, 2), back)), forCaller);
    const { tags } = await proxy.query(call);
    const local = (tag: string) => {
      const { medias } = (tags as Record<string, { medias: { streams: NgDictionary[] }[] }>)[tag] ?? {};
      return medias?.[0]?.streams[0]?.['local address'];
    };
    t.deepEqual([local(call.fromTag), local(call.toTag)], ['127.0.0.1', '127.0.0.2']);
  },
  interfaces,
);

suite(
  'without a direction the first interface is used',
  async (t, proxy) => {
    const [caller, callee] = [await party(t), await party(t)];
    const { forCallee, forCaller } = await bridged(proxy, caller, callee, {});
    t.deepEqual([forCallee.address, forCaller.address], ['127.0.0.1', '127.0.0.1']);
    const one = await bridged(proxy, caller, callee, { direction: ['external'] });
    t.deepEqual([one.forCallee.address, one.forCaller.address], ['127.0.0.1', '127.0.0.2']);
  },
  interfaces,
);

suite(
  'an offer may move a call to another interface',
  async (t, proxy) => {
    const [caller, callee] = [await party(t), await party(t)];
    const { call } = await bridged(proxy, caller, callee, { direction });
    const extra = { ...believed, direction: ['internal', 'internal'] };
    const forCallee = relayedTo(await proxy.offer(call, sdpOf(caller, 2), { inDialog: true, extra }));
    const forCaller = relayedTo(await proxy.answer(call, sdpOf(callee, 2), believed));
    t.deepEqual([forCallee.address, forCaller.address], ['127.0.0.1', '127.0.0.1']);
    await mediaPass(t, [caller, forCaller], [callee, forCallee]);
  },
  interfaces,
);

suite(
  'parties of IPv4 and IPv6 talk to each other',
  async (t, proxy) => {
    const [four, six] = [await party(t), await party(t, '::1')];
    const toSix = { direction, 'address-family': 'IP6' };
    const { forCallee, forCaller } = await bridged(proxy, four, six, toSix);
    t.deepEqual([forCallee.address, forCaller.address], ['::1', '127.0.0.1']);
    await mediaPass(t, [four, forCaller], [six, forCallee]);

    const toFour = { direction: direction.toReversed() };
    const back = await bridged(proxy, six, four, toFour);
    t.deepEqual([back.forCallee.address, back.forCaller.address], ['127.0.0.1', '::1']);
    await mediaPass(t, [six, back.forCaller], [four, back.forCallee]);
  },
  interfaces,
);

suite(
  'parties are told the advertised address, or the one that the request names',
  async (t, proxy) => {
    const [caller, callee] = [await party(t), await party(t)];
    const natted = await bridged(proxy, caller, callee, { direction: ['internal', 'natted'] });
    t.is(natted.forCallee.address, '203.0.113.9');
    const forCallee = { ...natted.forCallee, address: '127.0.0.3' };
    await mediaPass(t, [caller, natted.forCaller], [callee, forCallee]);
    const named = await bridged(proxy, caller, callee, { 'media-address': '198.51.100.7' });
    t.deepEqual([named.forCallee.address, named.forCaller.address], ['198.51.100.7', '127.0.0.1']);
    const ofIPv6 = await proxy.offer(newCall(), sdpOf(caller), { extra: { 'media-address': '2001:db8::7' } });
    t.regex(String(ofIPv6['sdp']), /^c=IN IP6 2001:db8::7\r$/m);
  },
  interfaces,
);

suite(
  'what there is not: rtpengine takes another, the built-in relay refuses',
  async (t, proxy, kind) => {
    const cases: readonly (readonly [NgDictionary, string])[] = [
      [{ direction: ['bogus', 'external'] }, 'direction'],
      [{ direction: ['internal', 'internal'], 'address-family': 'IP6' }, 'address-family'],
      [{ 'address-family': 'IP9' }, 'address-family'],
      [{ 'media-address': 'nonsense' }, 'media-address'],
    ];
    const sdp = audioSdp({ address: '127.0.0.1', port: 4000 });
    for (const [extra, option] of cases) {
      const reply = await proxy.offer(newCall(), sdp, { extra });
      t.is(reply['error-reason'], kind === 'rtpengine' ? undefined : refusal(option), JSON.stringify(extra));
    }
    if (kind === 'built-in') {
      t.deepEqual(await proxy.list(), [], 'no call was begun');
    }
  },
  interfaces,
);

suite(
  'media with addresses of their own are each told theirs',
  async (t, proxy) => {
    const more = ['m=video 4002 RTP/AVP 96', 'c=IN IP6 ::1'];
    const sdp = audioSdp({ address: '127.0.0.1', port: 4000, more });
    const extra = { ...believed, direction: ['external', 'external'] };
    const media = mediaAddresses(String((await proxy.offer(newCall(), sdp, { extra }))['sdp']));
    t.is(media.length, 2);
    t.true(media.every(({ address, port }) => address !== '' && port > 0));
  },
  interfaces,
);
