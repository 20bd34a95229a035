import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NgDictionary } from '../../../services/control/ng/message.js';
import {
  type KernelCall,
  KernelScene,
  kernelPrograms,
  networks,
  Phone,
  untrusted,
} from '../../support/kernel-scene.js';
import { relayedTo } from '../../support/ng.js';
import type { TestProcess } from '../../support/process.js';
import { testWith } from '../../support/requirement.js';

const floodSeconds = 8;
const packetsPerSecond = 500;

const ends: Readonly<Record<string, (node: TestProcess) => Promise<void>>> = {
  killed: async (node) => void (await node.kill()),
  'told to hand over': async (node) => {
    node.signal('SIGUSR2');
    const { code } = await node.exited;
    if (code !== 0) {
      throw new Error(`it ended with code ${code}:\n${node.output}`);
    }
  },
};

for (const [how, end] of Object.entries(ends)) {
  const title = `media in the kernel lose no packet when the relay is ${how} and started again`;
  testWith.serial(kernelPrograms, title, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'holdfast-state-'));
    t.teardown(() => rmSync(directory, { recursive: true, force: true }));
    const settings = { HOLDFAST_RELAY_STATE_DIRECTORY: directory };
    const scene = await KernelScene.open(t);
    const before = await scene.startRelay(settings);
    const calls: KernelCall[] = [];
    for (let index = 0; index < 10; index++) {
      const call = await scene.call();
      await call.talkUntilHandedOver();
      calls.push(call);
    }
    const heard = () => calls.reduce((sum, { callee }) => sum + callee.socket.heard.length, 0);
    const heardBefore = heard();
    const flows = calls.map(({ caller: { socket, target } }) => {
      return { id: socket.id, port: target?.port ?? 0, address: target?.address ?? '' };
    });
    const flood = scene.near.ask('flood', flows, packetsPerSecond, floodSeconds);
    await scene.until(async () => heard() > heardBefore + packetsPerSecond);
    await end(before);
    const inBetween = heard();
    await scene.until(async () => heard() > inBetween + packetsPerSecond);
    const next = await scene.startRelay(settings);
    t.regex(next.output, /"calls":10,"msg":"continuing the calls of the previous process"/);
    const { packets } = await flood;
    await scene.until(async () => heard() >= heardBefore + packets);
    t.is(heard(), heardBefore + packets, 'none lost, none twice');
    t.is((await scene.forwarded()).userspace, 0, 'none came to user space of the next process');

    // The next process knows the calls, their packets and their tags.
    const [call] = calls;
    if (!call) {
      throw new Error('no calls');
    }
    const query = await call.query();
    t.is(query['result'], 'ok');
    const totals = (query['totals'] as NgDictionary)['RTP'] as NgDictionary;
    const counted = Number(totals['packets']);
    // The first call has one packet more than others where they cannot be shared out evenly.
    const inKernel = Math.ceil(packets / calls.length);
    const sent = inKernel + call.caller.sent + call.callee.sent;
    // It goes on from what was counted before, but for packets around the handovers. None is counted twice.
    t.true(counted > inKernel * 0.9 && counted <= sent, `${counted} of ${sent}, ${inKernel} in the kernel`);
    await scene.near.setUp('near', '10.77.1.9/24');
    const moved = new Phone(await scene.near.udp('10.77.1.9'));
    moved.target = call.caller.target;
    const told = relayedTo(
      await scene.proxy.offer(call.tags, moved.sdp(2), { inDialog: true, extra: untrusted }),
    );
    t.deepEqual(told, call.callee.target, 'a re-INVITE keeps the ports');
    await scene.proxy.answer(call.tags, call.callee.sdp(2), untrusted);
    await call.talkUntilHandedOver(moved);

    for (const { tags } of calls) {
      await scene.proxy.delete(tags);
    }
    await scene.untilRuleset((text) => !/elements = \{ "/.test(text));
    await next.stop();
    t.is(await scene.ruleset(), '');
    t.deepEqual(readdirSync(directory), []);
  });
}

testWith.serial(
  kernelPrograms,
  'a relay removes what it no longer claims of what a killed one left in the kernel',
  async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'holdfast-state-'));
    t.teardown(() => rmSync(directory, { recursive: true, force: true }));
    const scene = await KernelScene.open(t);
    const { relay } = networks.IPv6;
    await scene.relay.exec('ip', 'address', 'add', `${relay}/64`, 'dev', 'near', 'nodad');
    const settings = { HOLDFAST_RELAY_STATE_DIRECTORY: directory };
    const tables = async () =>
      [...(await scene.ruleset()).matchAll(/^table netdev (\S+)/gm)].map(([, name]) => name);
    const both = `default=${networks.IPv4.relay},default=${relay}`;
    const first = await scene.startRelay({ ...settings, HOLDFAST_RELAY_MEDIA: both });
    t.deepEqual(await tables(), ['holdfast.default.media-1', 'holdfast.default.media-1/6']);
    const call = await scene.call();
    await call.talkUntilHandedOver();
    await first.kill();

    const second = await scene.startRelay(settings);
    t.deepEqual(await tables(), ['holdfast.default.media-1']);
    await second.kill();

    await scene.startRelay({ ...settings, HOLDFAST_RELAY_FORWARDING: 'userspace' });
    t.deepEqual(await tables(), []);
    await call.exchange();
    t.deepEqual(await scene.forwarded(), { kernel: 0, userspace: 2 }, 'the call goes on');
  },
);

testWith.serial(
  kernelPrograms,
  'a call that ended while no relay ran is over after its silence, not before',
  async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'holdfast-state-'));
    t.teardown(() => rmSync(directory, { recursive: true, force: true }));
    const settings = { HOLDFAST_RELAY_STATE_DIRECTORY: directory, HOLDFAST_RELAY_IDLE_TIMEOUT_SECONDS: '5' };
    const scene = await KernelScene.open(t);
    const killed = await scene.startRelay(settings);
    const [silent, talking] = [await scene.call(), await scene.call()];
    await silent.talkUntilHandedOver();
    await talking.talkUntilHandedOver();
    await killed.kill();
    await scene.startRelay(settings);
    await scene.talkUntil(talking, async () => (await silent.query())['result'] === 'error');
    t.is((await talking.query())['result'], 'ok');
  },
);
