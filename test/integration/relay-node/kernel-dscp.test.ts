import { KernelScene, kernelPrograms, networks, nft } from '../../support/kernel-scene.js';
import { testWith } from '../../support/requirement.js';

for (const family of ['IPv4', 'IPv6'] as const) {
  testWith.serial(kernelPrograms, `all media leave with the DSCP that is set (${family})`, async (t) => {
    const scene = await KernelScene.open(t, family);
    const ip = family === 'IPv4' ? 'ip' : 'ip6';
    await scene.far.exec(nft, 'add table inet watch');
    await scene.far.exec(nft, 'add chain inet watch input { type filter hook input priority 0; }');
    const ofRelay = `${ip} saddr ${networks[family].relay} udp dport != 0`;
    await scene.far.exec(nft, `add rule inet watch input ${ofRelay} ${ip} dscp ef counter accept`);
    await scene.far.exec(nft, `add rule inet watch input ${ofRelay} counter`);
    const seen = async () => {
      const ruleset = await scene.far.exec(nft, 'list table inet watch');
      return [...ruleset.matchAll(/counter packets (\d+)/g)].map(([, packets]) => Number(packets));
    };
    const node = await scene.startRelay({ HOLDFAST_RELAY_DSCP: '46' });
    const call = await scene.call(scene.proxy, { TOS: 184 });
    await call.talkUntilHandedOver();
    const { userspace } = await scene.forwarded();
    t.true(userspace > 0);
    await call.exchange();
    t.deepEqual(await seen(), [call.caller.sent, 0], 'through user space and through the kernel');
    await node.stop();
    t.is(await scene.ruleset(), '', 'nothing is left');
  });
}

testWith.serial(kernelPrograms, 'a DSCP that cannot be set is no start', async (t) => {
  const scene = await KernelScene.open(t);
  const loopback = { HOLDFAST_RELAY_DSCP: '46', HOLDFAST_RELAY_MEDIA: 'default=127.0.0.1' };
  const refused = await scene.runRelay(loopback, []);
  const { code } = await refused.exited;
  t.not(code, 0);
  t.regex(refused.output, /the DSCP of media cannot be set without nftables: 127\.0\.0\.1 is an address of/);
  const userspace = { HOLDFAST_RELAY_DSCP: '46', HOLDFAST_RELAY_FORWARDING: 'userspace' };
  const contradictory = await scene.runRelay(userspace, []);
  t.is((await contradictory.exited).code, 78);
  t.regex(contradictory.output, /HOLDFAST_RELAY_DSCP=46: allowed: 0-63, where the kernel forwards/);
});
