import { audioSdp, newCall, relayedTo } from '../support/ng.js';
import { eventually } from '../support/registry.js';
import { testWith } from '../support/requirement.js';
import { type Stage, stage, stagePrograms } from './gateway-stage.js';

const sdp = audioSdp({ address: '127.0.0.1', port: 6000 });

async function bindingOf({ gateway }: Stage, callId: string) {
  const { binding } = await gateway.client.lookup({ callId });
  const livesForMs = (binding?.expireTime?.getTime() ?? 0) - Date.now();
  return {
    relay: binding?.relay?.id,
    released: binding?.released,
    livesForSeconds: Math.round(livesForMs / 1000),
  };
}

testWith(stagePrograms, 'a call that is refused and retried gets the TTL of any other call', async (t) => {
  const built = await stage(t, 1);
  const { proxy } = built;
  for (const round of ['at once', 'later']) {
    const call = newCall();
    await proxy.offer(call, sdp);
    await proxy.delete(call); // the first branch was busy
    if (round === 'later') {
      await eventually(async () => (await bindingOf(built, call.callId)).released === true, 'release');
    }
    t.truthy(relayedTo(await proxy.offer(call, sdp)));
    t.is((await proxy.answer(call, sdp))['result'], 'ok'); // the second one answers
    await eventually(
      async () => (await bindingOf(built, call.callId)).livesForSeconds > 3000,
      `the TTL of an answered call, tried again ${round}`,
    );
    t.false((await bindingOf(built, call.callId)).released);
    await proxy.delete(call);
  }
});

testWith(
  stagePrograms,
  'while its relay is silent, a call gets errors in time, ends, and begins again on another relay',
  async (t) => {
    const built = await stage(t, 2);
    const { relays, proxy } = built;
    const call = newCall();
    await proxy.offer(call, sdp);
    await proxy.answer(call, sdp);
    const { relay } = await bindingOf(built, call.callId);
    const [silent, other] = relays[0]?.id === relay ? relays : relays.toReversed();
    await silent?.freeze();
    const ask = async (what: string, question: () => Promise<Record<string, unknown>>) => {
      const askedAtMs = performance.now();
      const reply = await question();
      const tookMs = Math.round(performance.now() - askedAtMs);
      t.log(
        `${what}: ${reply['result']} after ${tookMs} ms (${reply['error-reason'] ?? reply['warning'] ?? 'sdp'})`,
      );
      t.true(tookMs < 1000);
      return reply['result'];
    };
    t.is(await ask('query', () => proxy.query(call)), 'error');
    t.is(await ask('re-INVITE', () => proxy.offer(call, sdp, { inDialog: true })), 'error');
    t.is(await ask('delete', () => proxy.delete(call)), 'ok');
    t.is(await ask('INVITE with the same Call-ID', () => proxy.offer(call, sdp)), 'ok');
    t.is((await proxy.answer(call, sdp))['result'], 'ok');
    silent?.thaw();
    await eventually(
      async () => (await silent?.ng.list())?.length === 0,
      'end of the call on the relay that was silent',
    );
    t.deepEqual(await other?.ng.list(), [call.callId]);
    const { released, ...binding } = await bindingOf(built, call.callId);
    t.false(released);
    t.is(binding.relay, other?.id);
  },
);
