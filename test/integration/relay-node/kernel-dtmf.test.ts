import { KernelScene, kernelPrograms, networks } from '../../support/kernel-scene.js';
import { testWith } from '../../support/requirement.js';
import { eventPacket } from '../../support/rtp.js';

const logPort = 9000;

for (const family of ['IPv4', 'IPv6'] as const) {
  testWith.serial(
    kernelPrograms,
    `${family}: keys are told, while the kernel forwards what is said`,
    async (t) => {
      const scene = await KernelScene.open(t, family);
      const { caller: address } = networks[family];
      const host = family === 'IPv6' ? `[${address}]` : address;
      const log = await scene.near.udp(address, logPort);
      const node = await scene.startRelay({ HOLDFAST_RELAY_DTMF_LOG: `${host}:${logPort}` });
      const call = await scene.call();
      await call.talkUntilHandedOver();
      const { userspace } = await scene.forwarded();
      const heard = call.callee.socket.heard.length;
      const { port = 0, address: relay = '' } = call.caller.target ?? {};
      const events = [false, true, true].map((isEnd, index) => {
        // The first has the marker bit.
        const payloadType = index === 0 ? 101 + 128 : 101;
        return eventPacket({ payloadType, sequence: index, timestamp: 1000, code: 9, isEnd, duration: 800 });
      });
      for (const event of events) {
        await call.caller.socket.send(event, port, relay);
      }
      await call.callee.socket.hears(heard + events.length);
      await log.hears(1);
      const told = JSON.parse(log.heard[0]?.data.toString() ?? '');
      t.like(told, {
        callid: call.tags.callId,
        source_tag: call.tags.fromTag,
        source_ip: address,
        event: 9,
        duration: 100,
      });
      t.is((await scene.forwarded()).userspace, userspace + events.length);
      for (let round = 0; round < 5; round++) {
        await call.exchange();
      }
      t.is((await scene.forwarded()).userspace, userspace + events.length, 'the media stay where they are');
      t.is(log.heard.length, 1);

      await scene.proxy.delete(call.tags);
      await scene.untilRuleset((text) => !/elements = \{ "/.test(text));
      await node.stop();
      t.is(await scene.ruleset(), '', 'nothing is left');
    },
  );
}
