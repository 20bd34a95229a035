import type { ExecutionContext } from 'ava';
import { audioSdp, type CallTags, newCall, ProxyClient, relayedTo } from '../../support/ng.js';
import { eventually } from '../../support/registry.js';
import { lookup, move } from '../../support/replica.js';
import { testWith } from '../../support/requirement.js';
import { startRtpengine } from '../../support/rtpengine.js';
import { gateway } from './scene.js';

const sdp = audioSdp({ address: '127.0.0.1', port: 6000 });

/** Calls in progress on rtpengines that forget a deleted call at once, and what each of these carries. */
async function inProgress(t: ExecutionContext, count: number) {
  const engines = await Promise.all(
    [1, 2, 3].map(async (n) => ({ id: `r${n}`, ...(await startRtpengine(t)) })),
  );
  const made = await gateway(
    t,
    engines.map(({ id, controlUrl }) => ({ id, kind: 'rtpengine', controlUrl })),
  );
  const own = new Map<string, ProxyClient>();
  for (const { id, port } of engines) {
    const client = new ProxyClient('127.0.0.1', port);
    await client.start();
    t.teardown(() => client.stop());
    own.set(id, client);
  }
  const calls = Array.from({ length: count }, newCall);
  const setUp = async (call: CallTags, inDialog: boolean) => {
    t.truthy(relayedTo(await made.proxy.offer(call, sdp, { inDialog })));
    t.truthy(relayedTo(await made.proxy.answer(call, sdp)));
  };
  for (const call of calls) {
    await setUp(call, false);
  }
  return {
    ...made,
    calls,
    setUp,
    /** Ids of the relays that carry a call. */
    carriers: async ({ callId }: CallTags) => {
      const lists = await Promise.all(
        [...own].map(async ([id, client]) => ({ id, ids: await client.list(100) })),
      );
      return lists.filter(({ ids }) => ids.includes(callId)).map(({ id }) => id);
    },
  };
}

const bound = async (selection: Parameters<typeof lookup>[0], { callId }: CallTags) =>
  (await lookup(selection, callId)).binding?.relay?.id ?? '';

testWith.serial(['rtpengine'], 'after a move and a re-INVITE one relay carries the call', async (t) => {
  const { calls, setUp, carriers, selection } = await inProgress(t, 6);
  for (const call of calls) {
    const from = await bound(selection, call);
    await move(selection, { callId: call.callId, generation: 1n, reason: 'a test' });
    t.deepEqual(await carriers(call), [from], 'media flow where they did');
    await setUp(call, true);
    const to = await bound(selection, call);
    t.not(to, from);
    await eventually(async () => (await carriers(call)).join() === to, 'end of the former session');
    // There and back: what the second re-INVITE has begun anew stays.
    await move(selection, { callId: call.callId, generation: 2n, reason: 'a test', targetRelayId: from });
    await setUp(call, true);
    await eventually(async () => (await carriers(call)).join() === from, 'end of the session in between');
  }
});

testWith.serial(
  ['rtpengine'],
  'a moved call that ends without a re-INVITE ends on its former relay',
  async (t) => {
    const { calls, carriers, proxy, selection } = await inProgress(t, 4);
    for (const call of calls) {
      await move(selection, { callId: call.callId, generation: 1n, reason: 'a test' });
      t.is((await proxy.delete(call))['result'], 'ok');
      await eventually(async () => (await carriers(call)).length === 0, 'end of the session');
      await eventually(async () => {
        const { binding } = await lookup(selection, call.callId);
        return binding?.released === true;
      }, 'end of the binding');
    }
  },
);
