import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NgDictionary } from '../../../services/control/ng/message.js';
import {
  type KernelCall,
  KernelScene,
  kernelPrograms,
  networks,
  nft,
  Phone,
  untrusted,
} from '../../support/kernel-scene.js';
import { testWith } from '../../support/requirement.js';
import { rtcpReport, rtpPacket } from '../../support/rtp.js';

for (const family of ['IPv4', 'IPv6'] as const) {
  testWith.serial(kernelPrograms, `RTP passes both ways through the kernel alone (${family})`, async (t) => {
    const scene = await KernelScene.open(t, family);
    const node = await scene.startRelay();
    t.regex(node.output, /"forwarding":"kernel"/);
    const call = await scene.call();
    await call.talkUntilHandedOver();

    const [before, packetsBefore] = [await scene.forwarded(), await scene.packetsInKernel()];
    for (let round = 0; round < 10; round++) {
      await call.exchange();
    }
    t.is((await scene.packetsInKernel()) - packetsBefore, 20, "the kernel's own counters");
    const [own, other] = [await rtpStream(call, 'fromTag'), await rtpStream(call, 'toTag')];
    t.is((await scene.forwarded()).userspace, before.userspace, 'nothing came to the sockets');
    const { callee, caller } = call;
    t.deepEqual(callee.socket.heard.at(-1)?.data, rtpPacket(caller.socket.port, caller.sent));
    t.is(callee.socket.heard.at(-1)?.from.port, callee.target?.port, 'symmetric: from where it sends to');
    t.is(caller.socket.heard.at(-1)?.from.address, caller.target?.address);

    for (const [stream, phone] of [
      [own, caller],
      [other, callee],
    ] as const) {
      t.deepEqual(stream['stats'], { packets: phone.sent, bytes: phone.sent * 172, errors: 0 });
      t.true((stream['flags'] as string[]).includes('kernelized'));
    }
    const metrics = await scene.metrics();
    t.regex(metrics, /holdfast_relay_kernel_streams 2\n/);
    t.regex(metrics, /holdfast_relay_forwarded_packets_total\{path="kernel"\} [1-9]/);

    await scene.proxy.delete(call.tags);
    await scene.untilRuleset((text) => !/elements = \{ "/.test(text));
    await node.stop();
    t.is(await scene.ruleset(), '', 'nothing is left');
  });
}

testWith.serial(
  kernelPrograms,
  'the kernel forwards from one interface of the relay to the other',
  async (t) => {
    for (const family of ['IPv4', 'IPv6'] as const) {
      const scene = await KernelScene.open(t, family);
      const { relay, far } = networks[family];
      const node = await scene.startRelay({ HOLDFAST_RELAY_MEDIA: `near=${relay},far=${far}` });
      const call = await scene.call(scene.proxy, { direction: ['near', 'far'] });
      t.deepEqual([call.caller.target?.address, call.callee.target?.address], [relay, far]);
      await call.talkUntilHandedOver();
      await call.exchange();
      t.is(call.callee.socket.heard.at(-1)?.from.address, far);
      t.is(call.caller.socket.heard.at(-1)?.from.address, relay);
      await node.stop();
      t.is(await scene.ruleset(), '', 'nothing is left');
    }
  },
);

testWith.serial(
  kernelPrograms,
  'beside media in the kernel, RTCP on their port goes through user space',
  async (t) => {
    const scene = await KernelScene.open(t);
    await scene.startRelay();
    const call = await scene.call();
    await call.talkUntilHandedOver();
    const { userspace } = await scene.forwarded();
    const heard = call.callee.socket.heard.length;
    const { port = 0, address = '' } = call.caller.target ?? {};
    await call.caller.socket.send(rtcpReport(1), port, address);
    await call.callee.socket.hears(heard + 1);
    t.deepEqual(call.callee.socket.heard.at(-1)?.data, rtcpReport(1));
    t.is((await scene.forwarded()).userspace, userspace + 1);
    await call.exchange();
    t.is((await scene.forwarded()).userspace, userspace + 1, 'the media stay where they are');
  },
);

testWith.serial(kernelPrograms, 'a re-INVITE moves a stream in the kernel to another address', async (t) => {
  const scene = await KernelScene.open(t);
  await scene.startRelay();
  const call = await scene.call();
  await call.talkUntilHandedOver();
  await scene.near.setUp('near', '10.77.1.9/24');
  const moved = new Phone(await scene.near.udp('10.77.1.9'));
  moved.target = call.caller.target;
  await scene.proxy.offer(call.tags, moved.sdp(2), { inDialog: true, extra: untrusted });
  await scene.proxy.answer(call.tags, call.callee.sdp(2), untrusted);
  const heard = call.caller.socket.heard.length;
  await call.talkUntilHandedOver(moved);
  t.is(call.caller.socket.heard.length, heard, 'nothing more at the old address');
  t.regex(await scene.ruleset(), /: 10\.77\.1\.9[ ,}]/);
  await scene.untilRuleset((text) => !/: 10\.77\.1\.2[ ,}]/.test(text));
});

testWith.serial(
  kernelPrograms,
  'the kernel forwards what an asymmetric party sends from elsewhere',
  async (t) => {
    const scene = await KernelScene.open(t);
    await scene.startRelay();
    const call = await scene.call();
    await scene.near.setUp('near', '10.77.1.9/24');
    const sender = new Phone(await scene.near.udp('10.77.1.9'));
    sender.target = call.caller.target;
    const extra = { ...untrusted, flags: ['asymmetric'] };
    await scene.proxy.offer(call.tags, call.caller.sdp(2), { inDialog: true, extra });
    await scene.proxy.answer(call.tags, call.callee.sdp(2), untrusted);
    const [{ socket: caller }, { socket: callee }] = [call.caller, call.callee];
    await scene.until(async () => {
      const before = await scene.packetsInKernel();
      const heard = [caller.heard.length, callee.heard.length];
      await sender.talk();
      await callee.hears((heard[1] ?? 0) + 1);
      await call.callee.talk();
      await caller.hears((heard[0] ?? 0) + 1);
      return (await scene.packetsInKernel()) === before + 2;
    });
    t.is(sender.socket.heard.length, 0, 'it hears where it has signaled');
  },
);

testWith.serial(
  kernelPrograms,
  'media on hold come back to user space, and go again when they resume',
  async (t) => {
    const scene = await KernelScene.open(t);
    await scene.startRelay();
    const call = await scene.call();
    await call.talkUntilHandedOver();
    const onHold = call.caller.sdp(2).replace(/c=IN IP4 \S+/, 'c=IN IP4 0.0.0.0');
    await scene.proxy.offer(call.tags, onHold, { inDialog: true, extra: untrusted });
    await scene.untilRuleset((text) => !/elements = \{ "/.test(text));
    const heardBefore = call.caller.socket.heard.length;
    for (let round = 0; round < 5; round++) {
      await call.callee.talk();
    }
    await scene.until(async () => (await scene.total('droppedpackets')) === 5);
    t.is(call.caller.socket.heard.length, heardBefore);
    await scene.proxy.offer(call.tags, call.caller.sdp(3), { inDialog: true, extra: untrusted });
    await scene.proxy.answer(call.tags, call.callee.sdp(3), untrusted);
    await call.talkUntilHandedOver();
    t.is(call.caller.socket.heard.length, call.callee.sent - 5);
  },
);

testWith.serial(kernelPrograms, 'a stream comes back to be recorded, and goes again', async (t) => {
  const scene = await KernelScene.open(t);
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-recording-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  await scene.startRelay({ HOLDFAST_RELAY_RECORDING_DIRECTORY: directory });
  const call = await scene.call();
  await call.talkUntilHandedOver();
  const ask = (command: string) => scene.proxy.request({ command, 'call-id': call.tags.callId });
  t.is((await ask('start recording'))['result'], 'ok');
  const { userspace } = await scene.forwarded();
  for (let round = 0; round < 5; round++) {
    await call.exchange();
  }
  t.is((await scene.forwarded()).userspace, userspace + 10, 'all that follows the answer is recorded');
  t.is((await ask('stop recording'))['result'], 'ok');
  const [file = ''] = readdirSync(directory);
  t.is(statSync(join(directory, file)).size, 24 + 10 * (16 + 28 + 172));
  await call.talkUntilHandedOver();
});

testWith.serial(
  kernelPrograms,
  'strangers are not forwarded, neither by the kernel nor beside it',
  async (t) => {
    const scene = await KernelScene.open(t);
    await scene.startRelay();
    const call = await scene.call();
    await call.talkUntilHandedOver();
    await scene.near.setUp('near', '10.77.1.66/24');
    const strangers = [await scene.near.udp('10.77.1.66'), await scene.near.udp(call.caller.socket.address)];
    const before = { heard: call.callee.socket.heard.length, ...(await scene.forwarded()) };
    for (const stranger of strangers) {
      const { port = 0, address = '' } = call.caller.target ?? {};
      await stranger.send(rtpPacket(1, 1), port, address);
    }
    await scene.until(async () => (await scene.total('foreignpackets')) === strangers.length);
    await call.exchange();
    t.is(call.callee.socket.heard.length, before.heard + 1, 'the packet of the caller');
    t.is((await scene.forwarded()).userspace, before.userspace);
    t.true(strangers.every(({ heard }) => heard.length === 0));
  },
);

testWith.serial(
  kernelPrograms,
  'a flushed ruleset is noticed and installed again, without a gap',
  async (t) => {
    const scene = await KernelScene.open(t);
    const node = await scene.startRelay();
    const call = await scene.call();
    await call.talkUntilHandedOver();
    await scene.relay.exec(nft, 'flush', 'ruleset');
    await call.exchange();
    await scene.talkUntil(
      call,
      async () => (await scene.metric('holdfast_relay_kernel_rebuilds_total')) === 1,
    );
    await call.talkUntilHandedOver();
    t.is(call.callee.socket.heard.length, call.caller.sent);
    t.is(call.caller.socket.heard.length, call.callee.sent);
    t.regex(node.output, /"msg":"media streams in the kernel are lost"/);
  },
);

testWith.serial(kernelPrograms, 'an nft that dies is replaced, while media go on', async (t) => {
  const scene = await KernelScene.open(t);
  const node = await scene.startRelay();
  const call = await scene.call();
  await call.talkUntilHandedOver();
  const [child] = await scene.childrenOf(node);
  process.kill(Number(child), 'SIGKILL');
  await scene.talkUntil(call, async () => (await scene.metric('holdfast_relay_kernel_rebuilds_total')) === 1);
  await call.talkUntilHandedOver();
  t.is(call.callee.socket.heard.length, call.caller.sent);
  t.is(call.caller.socket.heard.length, call.callee.sent);
  const stats = (await rtpStream(call, 'fromTag'))['stats'] as NgDictionary;
  // But for what comes between the last look at the old table and its end, which takes as long as nft does.
  const counted = Number(stats['packets']);
  t.true(
    counted > call.caller.sent / 2,
    `what the kernel forwarded meanwhile is counted: ${counted} of ${call.caller.sent}`,
  );
});

testWith.serial(
  kernelPrograms,
  'relays of one host keep to their own tables; what a killed one left is removed',
  async (t) => {
    const scene = await KernelScene.open(t);
    const killed = await scene.startRelay();
    const call = await scene.call();
    await call.talkUntilHandedOver();
    await killed.kill();
    t.regex(await scene.ruleset(), /table netdev holdfast\.default\.media-1 \{[\s\S]*elements = \{ "/);

    const other = await scene.startRelay({
      HOLDFAST_RELAY_ID: 'media-2',
      HOLDFAST_RELAY_PORT_MIN: '40000',
      HOLDFAST_RELAY_PORT_MAX: '40999',
    });
    const second = await scene.call();
    await second.talkUntilHandedOver();
    await other.stop();
    t.regex(await scene.ruleset(), /table netdev holdfast\.default\.media-1 \{[\s\S]*elements = \{ "/);
    t.notRegex(await scene.ruleset(), /media-2/);

    const again = await scene.startRelay();
    t.notRegex(await scene.ruleset(), /elements = \{ "/);
    await again.stop();
    t.is(await scene.ruleset(), '');
  },
);

const withoutNetAdmin = ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin'];

testWith.serial(
  [...kernelPrograms, 'setpriv'],
  'without the capability: user space, said once, or no start',
  async (t) => {
    const scene = await KernelScene.open(t);
    const node = await scene.startRelay({}, withoutNetAdmin);
    t.regex(node.output, /"forwarding":"userspace","reason":"[^"]*not permitted[^"]*"/);
    const call = await scene.call();
    for (let round = 0; round < 5; round++) {
      await call.exchange();
    }
    t.deepEqual(await scene.forwarded(), { kernel: 0, userspace: 10 });
    t.is(node.output.split('"forwarding"').length, 2);
    await node.stop();

    const refused = await scene.runRelay({ HOLDFAST_RELAY_FORWARDING: 'kernel' }, withoutNetAdmin);
    const { code } = await refused.exited;
    t.not(code, 0);
    t.regex(refused.output, /media cannot be forwarded in the kernel: [^"]*not permitted/);
  },
);

/** What `query` says about the RTP of a party. */
async function rtpStream(call: KernelCall, party: 'fromTag' | 'toTag'): Promise<NgDictionary> {
  const tags = (await call.query())['tags'] as NgDictionary;
  const medias = (tags[call.tags[party]] as NgDictionary)['medias'] as NgDictionary[];
  return ((medias[0] as NgDictionary)['streams'] as NgDictionary[])[0] as NgDictionary;
}
