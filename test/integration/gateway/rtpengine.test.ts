import type { ExecutionContext } from 'ava';
import type { NgDictionary } from '../../../services/control/ng/message.js';
import { parseAddress } from '../../../services/runtime/address.js';
import { audioSdp, type CallTags, newCall, ProxyClient, relayedTo } from '../../support/ng.js';
import { lookup, replicaScene, select } from '../../support/replica.js';
import { testWith } from '../../support/requirement.js';
import { type Rtpengine, startRtpengine } from '../../support/rtpengine.js';

/** What real rtpengines say through the gateway is what they say directly. */
const sdp = audioSdp({ address: '127.0.0.1', port: 6000 });

async function gateway(t: ExecutionContext, rtpengines: readonly Rtpengine[]) {
  const scene = await replicaScene(
    t,
    rtpengines.map(({ controlUrl }, i) => ({ id: `r${i + 1}`, kind: 'rtpengine', controlUrl })),
    { HOLDFAST_NG_LISTEN: '127.0.0.1:0' },
  );
  // The first write takes longest, and a proxy is answered within 0.9 s.
  await select(scene.selection, { callId: 'warm-up' });
  const { port } = parseAddress(scene.replica.gatewayAddresses('ng')[0] ?? '') ?? { port: 0 };
  const ports = [port, ...rtpengines.map((each) => each.port)];
  const proxies = await Promise.all(
    ports.map(async (each) => {
      const proxy = new ProxyClient('127.0.0.1', each);
      await proxy.start();
      t.teardown(() => proxy.stop());
      return proxy;
    }),
  );
  const [through, ...direct] = proxies as [ProxyClient, ...ProxyClient[]];
  return { ...scene, through, direct };
}

/** On a busy machine the gateway's 0.9 s may run out before both relays were asked: then a new call is tried. */
async function inTime(ask: () => Promise<NgDictionary>): Promise<NgDictionary> {
  for (let tries = 1; ; tries++) {
    const reply = await ask();
    if (reply['warning'] !== 'no answer in time' || tries === 20) {
      return reply;
    }
  }
}

/** Bencode in the order of the keys: our own encoder sorts them. */
function inOrder(body: Readonly<Record<string, string>>): Buffer {
  const text = Object.entries(body).flatMap((pair) => pair.map((each) => `${each.length}:${each}`));
  return Buffer.from(`d${text.join('')}e`);
}

testWith.serial(
  ['rtpengine'],
  'full rtpengines are told in their own words, with and without `supports`',
  async (t) => {
    const engines = [
      await startRtpengine(t, ['--max-sessions=0']),
      await startRtpengine(t, ['--max-sessions=0']),
    ];
    const { through, direct } = await gateway(t, engines);
    for (const extra of [{ supports: ['load limit'] }, { supports: [] }]) {
      const own = await direct[0]?.offer(newCall(), sdp, { extra });
      t.deepEqual(await inTime(() => through.offer(newCall(), sdp, { extra })), own ?? {});
      t.not(own?.['result'], 'ok');
    }
  },
);

testWith.serial(['rtpengine'], 'a full rtpengine leaves the call to the next', async (t) => {
  const engines = [await startRtpengine(t, ['--max-sessions=0']), await startRtpengine(t)];
  const { through, selection } = await gateway(t, engines);
  for (const call of Array.from({ length: 4 }, newCall)) {
    t.truthy(relayedTo(await through.offer(call, sdp)));
    t.is((await lookup(selection, call.callId)).binding?.relay?.id, 'r2');
  }
});

testWith.serial(
  ['rtpengine'],
  'commands of any kind get through, and get what rtpengine answers',
  async (t) => {
    const { through, direct, selection } = await gateway(t, [await startRtpengine(t)]);
    const [own] = direct as [ProxyClient];
    // Publish begins a call.
    const { callId, fromTag, toTag } = newCall();
    const published = await through.request({
      command: 'publish',
      'call-id': callId,
      'from-tag': fromTag,
      sdp,
    });
    t.is(published['result'], 'ok');
    t.is((await lookup(selection, callId)).binding?.relay?.id, 'r1');
    const subscribed = await through.request({
      command: 'subscribe request',
      'call-id': callId,
      'to-tag': toTag,
      'from-tag': fromTag,
    });
    t.is(subscribed['result'], 'ok', String(subscribed['error-reason']));

    // What it does not know, and what it cannot do, with a call and without.
    const unknown = { 'call-id': newCall().callId, 'from-tag': 'f' };
    for (const command of ['create', 'transform', 'frobnicate', 'publish', 'pause recording', '']) {
      for (const names of [unknown, {}]) {
        const request = { command, ...names };
        t.deepEqual(
          (await through.request(request))['result'],
          (await own.request(request))['result'],
          `${command} ${JSON.stringify(names)}`,
        );
      }
    }
    for (const command of ['answer', 'query', 'delete', 'play media', 'block DTMF', 'start recording']) {
      for (const names of [unknown, { 'from-tag': 'f' }]) {
        const request = { command, ...names, 'to-tag': 't', sdp };
        t.deepEqual(await through.request(request), await own.request(request), JSON.stringify(request));
      }
    }
  },
);

testWith.serial(
  ['rtpengine'],
  'a call that names another begins on its relay, where the two can be joined',
  async (t) => {
    const { through, direct, selection } = await gateway(t, [
      await startRtpengine(t),
      await startRtpengine(t),
    ]);
    const relayOf = async ({ callId }: CallTags) =>
      (await lookup(selection, callId)).binding?.relay?.id ?? '';
    for (let i = 0; i < 6; i++) {
      const [one, other] = [newCall(), newCall()];
      t.truthy(relayedTo(await through.offer(one, sdp)));
      t.truthy(relayedTo(await through.offer(other, sdp, { extra: { 'to-call-id': one.callId } })));
      t.is(await relayOf(other), await relayOf(one));
      // This version does not know the command, and says so.
      const connect = {
        command: 'connect',
        'call-id': one.callId,
        'from-tag': one.fromTag,
        'to-tag': other.fromTag,
      };
      const request = { ...connect, 'to-call-id': other.callId };
      const own = direct[(await relayOf(one)) === 'r1' ? 0 : 1];
      t.deepEqual(await through.request(request), await own?.request(request));
    }
    const first = newCall();
    t.truthy(relayedTo(await through.offer(first, sdp)));
    let apart: CallTags;
    do {
      apart = newCall();
      t.truthy(relayedTo(await through.offer(apart, sdp)));
    } while ((await relayOf(apart)) === (await relayOf(first)));
    const reply = await through.request({
      ...{ command: 'connect', 'call-id': first.callId, 'from-tag': first.fromTag },
      ...{ 'to-call-id': apart.callId, 'to-tag': apart.fromTag },
    });
    t.regex(String(reply['error-reason']), /^connect: call .* is on relay r\d, and this one on relay r\d/);
  },
);

testWith.serial(['rtpengine'], 'however the call id is spelled, both mean the same call', async (t) => {
  const { through, direct } = await gateway(t, [await startRtpengine(t)]);
  const [own] = direct as [ProxyClient];
  const offer = { command: 'offer', 'from-tag': 'f', sdp };
  for (const spelling of ['call-id', 'call-ID', 'call id']) {
    const { callId } = newCall();
    t.is((await through.request({ ...offer, [spelling]: callId }))['result'], 'ok', spelling);
    t.true((await own.list(100)).includes(callId), spelling);
    // Delete needs the first spelling, and no tag.
    t.is((await through.request({ command: 'delete', 'call-id': callId }))['result'], 'ok');
    t.false((await own.list(100)).includes(callId));
  }
  // What rtpengine itself takes for the call is what the gateway binds: the last one.
  for (const [first, last] of [
    ['call-id', 'call-ID'],
    ['call-ID', 'call-id'],
  ] as const) {
    const names = { [first]: newCall().callId, [last]: newCall().callId };
    t.is((await through.client.request(inOrder({ ...offer, ...names })))['result'], 'ok');
    t.true((await own.list(100)).includes(names[last] ?? ''));
    t.is((await through.request({ command: 'query', 'call-id': names[last] ?? '' }))['result'], 'ok');
    t.is((await through.request({ command: 'query', 'call-id': names[first] ?? '' }))['result'], 'error');
  }
});

testWith.serial(['rtpengine'], 'statistics of two rtpengines look like those of one', async (t) => {
  const { through, direct } = await gateway(t, [await startRtpengine(t), await startRtpengine(t)]);
  for (const call of Array.from({ length: 6 }, newCall)) {
    await through.offer(call, sdp);
  }
  const shape = (value: unknown): unknown => {
    if (Array.isArray(value)) {
      return 'list';
    }
    return typeof value === 'object' && value !== null
      ? Object.fromEntries(
          Object.entries(value)
            .map(([name, each]) => [name, shape(each)])
            .toSorted(),
        )
      : typeof value;
  };
  const merged = await through.statistics();
  t.deepEqual(shape(merged), shape(await direct[0]?.statistics()));
  const { currentstatistics } = merged['statistics'] as { currentstatistics: Record<string, number> };
  t.is(currentstatistics['sessionstotal'], 6);
});

testWith.serial(['rtpengine'], 'a call id is any bytes, and each is a call of its own', async (t) => {
  const { through, direct } = await gateway(t, [await startRtpengine(t), await startRtpengine(t)]);
  const run = newCall().callId;
  const ids = [
    Buffer.from(`${run} with spaces `),
    Buffer.from(`${run}\u00e9`, 'utf8'),
    // The same letter in Latin-1, and the two bytes of the UTF-8 letter as two letters.
    Buffer.from(`${run}\u00e9`, 'latin1'),
    Buffer.from(`${run}\u00c3\u00a9`, 'utf8'),
    Buffer.from([...Buffer.from(run), 0, 10, 255]),
    Buffer.from(`${run}${'x'.repeat(4000)}`),
    Buffer.from(`${run}%2F/`),
  ];
  for (const [i, id] of ids.entries()) {
    const offer = { command: 'offer', 'call-id': id, 'from-tag': `tag-${i}`, sdp };
    t.truthy(relayedTo(await through.request(offer)), id.toString('latin1').slice(0, 40));
  }
  for (const [i, id] of ids.entries()) {
    const reply = await through.request({ command: 'query', 'call-id': id });
    const named = Object.keys(reply['tags'] as object).filter((tag) => tag.startsWith('tag-'));
    t.deepEqual(named, [`tag-${i}`]);
  }
  for (const id of ids) {
    t.is((await through.request({ command: 'delete', 'call-id': id }))['warning'], undefined);
  }
  for (const own of direct) {
    t.deepEqual(await own.list(100), []);
  }
});

testWith.serial(
  ['rtpengine'],
  'a call that is being set up on one rtpengine, and was answered on another, is served there',
  async (t) => {
    const { through, direct, selection } = await gateway(t, [
      await startRtpengine(t),
      await startRtpengine(t),
    ]);
    const uses: Record<string, (call: CallTags) => Promise<unknown>> = {
      reInvite: (call) => inTime(() => through.offer(call, sdp, { inDialog: true })),
      query: (call) => inTime(() => through.query(call)),
      delete: (call) => inTime(() => through.delete(call)),
      select: ({ callId }) => select(selection, { callId, inDialog: true }),
    };
    for (const [name, use] of Object.entries(uses)) {
      const call = newCall();
      const bound = (await select(selection, { callId: call.callId })).binding?.relay?.id;
      const [other, proxy] = bound === 'r1' ? ['r2', direct[1]] : ['r1', direct[0]];
      // As a gateway does that is cut off from etcd.
      await proxy?.offer(call, sdp);
      await proxy?.answer(call, sdp);
      await use(call);
      t.is((await lookup(selection, call.callId)).binding?.relay?.id, other, name);
      t.is(((await proxy?.list(100)) ?? []).includes(call.callId), name !== 'delete', name);
    }
  },
);
