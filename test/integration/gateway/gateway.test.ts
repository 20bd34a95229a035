import test from 'ava';
import type { NgDictionary } from '../../../services/control/ng/message.js';
import { audioSdp, newCall } from '../../support/ng.js';
import { eventually } from '../../support/registry.js';
import { lookup } from '../../support/replica.js';
import { builtinRelay, gateway } from './scene.js';

const sdp = audioSdp({ address: '127.0.0.1', port: 6000 });
const supports = { supports: ['load limit'] };

const results = (replies: readonly NgDictionary[]) => [...new Set(replies.map(({ result }) => result))];

test.serial('relays whose address cannot be connected are left for one that can', async (t) => {
  const good = await builtinRelay(t);
  const { proxy, selection, replica } = await gateway(t, [
    { id: 'broadcast', controlUrl: 'udp:255.255.255.255:2223', weight: 10_000 },
    { id: 'port-0', controlUrl: 'udp:127.0.0.1:0', weight: 10_000 },
    { id: 'link-local', controlUrl: 'udp:[fe80::1]:2223', weight: 10_000 },
    { id: 'good', controlUrl: good.controlUrl, weight: 1 },
  ]);
  const calls = Array.from({ length: 20 }, newCall);
  for (const call of calls) {
    const { result, warning } = await proxy.offer(call, sdp);
    t.is(result, 'ok', String(warning));
  }
  t.deepEqual(results(await Promise.all(calls.map((call) => proxy.answer(call, sdp)))), ['ok']);
  for (const { callId } of calls) {
    t.is((await lookup(selection, callId)).binding?.relay?.id, 'good');
  }
  t.true(Number(replica.gatewayCounters('ng')['failovers']) > 0);
  t.deepEqual(results(await Promise.all(calls.map((call) => proxy.delete(call)))), ['ok']);
});

test.serial(
  'no relay is registered: the proxy hears of full relays, in the words that it knows',
  async (t) => {
    const { proxy } = await gateway(t, []);
    const { result, message } = await proxy.offer(newCall(), sdp, { extra: supports });
    t.deepEqual({ result, message }, { result: 'load limit', message: 'Parallel session limit reached' });
    const reply = await proxy.offer(newCall(), sdp, { extra: { supports: [] } });
    t.is(reply['error-reason'], 'Parallel session limit reached');
  },
);

test.serial('all relays are at their capacity, or refuse: the same', async (t) => {
  const relay = await builtinRelay(t, { maxSessions: 1 });
  const { proxy } = await gateway(t, [{ id: 'r1', controlUrl: relay.controlUrl }]);
  t.is((await proxy.offer(newCall(), sdp))['result'], 'ok');
  t.is((await proxy.offer(newCall(), sdp, { extra: supports }))['result'], 'load limit');
  const limited = await gateway(t, [{ id: 'r1', controlUrl: relay.controlUrl, state: 'draining' }]);
  t.is((await limited.proxy.offer(newCall(), sdp, { extra: supports }))['result'], 'load limit');
});

test.serial('a relay of another protocol gets no call, and the log says why', async (t) => {
  const good = await builtinRelay(t);
  const { proxy, selection, replica, lines } = await gateway(t, [
    { id: 'a-proxy', kind: 'rtpproxy', controlUrl: good.controlUrl, weight: 10_000 },
    { id: 'good', controlUrl: good.controlUrl, weight: 1 },
  ]);
  for (const call of Array.from({ length: 10 }, newCall)) {
    t.is((await proxy.offer(call, sdp))['result'], 'ok');
    t.is((await lookup(selection, call.callId)).binding?.relay?.id, 'good');
  }
  t.is(replica.gatewayCounters('ng')['failovers'], 0);
  t.is(lines.find(({ msg }) => msg === 'relay left out')?.['relay'], 'a-proxy');
});

test.serial('each listener has its own set, zone and labels', async (t) => {
  const relay = await builtinRelay(t);
  const { controlUrl } = relay;
  const { proxies, selection } = await gateway(
    t,
    [
      { id: 'edge-a', set: 'edge', zone: 'a', controlUrl },
      { id: 'edge-b', set: 'edge', zone: 'b', controlUrl },
      { id: 'core-1', set: 'core', labels: { tier: '1' }, controlUrl },
      { id: 'core-2', set: 'core', labels: { tier: '2' }, controlUrl },
      { id: 'plain', controlUrl },
    ],
    '127.0.0.1:0,set=edge,zone=b,127.0.0.1:0,set=core,label=tier=2,[::1]:0',
  );
  const chosen: (string | undefined)[] = [];
  for (const proxy of proxies) {
    for (let i = 0; i < 5; i++) {
      const call = newCall();
      t.is((await proxy.offer(call, sdp))['result'], 'ok');
      chosen.push((await lookup(selection, call.callId)).binding?.relay?.id);
    }
  }
  t.deepEqual(chosen, [
    ...new Array(5).fill('edge-b'),
    ...new Array(5).fill('core-2'),
    ...new Array(5).fill('plain'),
  ]);
});

test.serial('a relay that leaves while a call is to be ended on it costs nothing more', async (t) => {
  const relay = await builtinRelay(t);
  const { proxy, client, keys, replica } = await gateway(t, [{ id: 'r1', controlUrl: relay.controlUrl }]);
  const call = newCall();
  t.is((await proxy.offer(call, sdp))['result'], 'ok');
  await relay.stop();
  t.is((await proxy.delete(call))['result'], 'ok');
  await client.kv.deleteRange({ key: keys.relay('default', 'r1') });
  await eventually(async () => (await proxy.offer(newCall(), sdp))['result'] === 'load limit', 'its leaving');
  t.is(replica.gatewayCounters('ng')['abandoned'], 0);
});
