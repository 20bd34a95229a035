import { encodeBody, type NgDictionary, parseMessage } from '../../services/control/ng/message.js';
import { joinDatagram, splitDatagram } from '../../services/control/udp/datagram.js';
import { audioSdp, newCall, relayedTo } from '../support/ng.js';
import { testWith } from '../support/requirement.js';
import { PacketSocket } from '../support/rtp.js';
import type { TestRelay } from './gateway-relays.js';
import { stage, stagePrograms } from './gateway-stage.js';

/** Two proxies offer a call each, simultaneously and with the same cookie. @returns the relay's ports for each */
async function sameCookie(port: number): Promise<number[]> {
  const proxies = [await PacketSocket.open('127.0.0.1'), await PacketSocket.open('127.0.0.1')];
  const ports: number[] = [];
  for (const [index, proxy] of proxies.entries()) {
    const { callId, fromTag } = newCall();
    const sdp = audioSdp({ address: '127.0.0.1', port: 6000 + index * 2 });
    const offer: NgDictionary = { command: 'offer', 'call-id': callId, 'from-tag': fromTag, sdp };
    await proxy.send(joinDatagram('4711_1', encodeBody(offer, 'bencode')), port, '127.0.0.1');
    const reply = splitDatagram((await proxy.nth(1)).data);
    if (reply?.cookie !== '4711_1') {
      throw new Error(`answer to another cookie: ${reply?.cookie}`);
    }
    ports.push(relayedTo(parseMessage(reply.body).body).port);
  }
  await Promise.all(proxies.map((proxy) => proxy.close()));
  return ports;
}

testWith(
  stagePrograms,
  'the same cookie from two proxies is confused by rtpengine, but not by the gateway',
  async (t) => {
    const { relays, gateway } = await stage(t, 1);
    const [relay] = relays as [TestRelay];
    const direct = await sameCookie(relay.port);
    const carriedDirectly = (await relay.ng.list()).length;
    t.log(
      `rtpengine: media ports ${direct.join(' and ')} for two calls, of which it carries ${carriedDirectly}`,
    );
    t.is(direct[0], direct[1]);
    t.is(carriedDirectly, 1);
    const through = await sameCookie(gateway.ngPort);
    const carried = (await relay.ng.list()).length - carriedDirectly;
    t.log(
      `gateway: media ports ${through.join(' and ')} for two calls, of which the same rtpengine carries ${carried}`,
    );
    t.not(through[0], through[1]);
    t.is(carried, 2);
  },
);

testWith(stagePrograms, 'the gateway serves clients over IPv6', async (t) => {
  const { proxy } = await stage(t, 1, '::1');
  t.is((await proxy.ping())['result'], 'pong');
  const call = newCall();
  const sdp = audioSdp({ address: '127.0.0.1', port: 6000 });
  const forCallee = relayedTo(await proxy.offer(call, sdp));
  t.is((await proxy.answer(call, sdp))['result'], 'ok');
  t.deepEqual(relayedTo(await proxy.offer(call, sdp, { inDialog: true })), forCallee);
  t.is((await proxy.delete(call))['result'], 'ok');
});

/** The parts that this test uses: the package has no types. */
interface RtpengineClient {
  on(event: 'error', listener: (error: Error) => void): void;
  close(): void;
  [command: string]: (...args: never[]) => unknown;
}

testWith(stagePrograms, "the gateway serves npm's rtpengine-client", async (t) => {
  const { relays, gateway } = await stage(t, 2);
  const { Client } = (await import('rtpengine-client' as string)).default as {
    Client: new (options: { timeout: number; localAddress: string }) => RtpengineClient;
  };
  const client = new Client({ timeout: 5000, localAddress: '127.0.0.1' });
  client.on('error', (error) => t.fail(error.message));
  t.teardown(() => client.close());
  const to = { host: '127.0.0.1', port: gateway.ngPort };
  const ask = (command: string, request: object = {}) =>
    (client[command] as (to: object, request: object) => Promise<NgDictionary>).call(client, to, request);
  t.deepEqual({ ...(await ask('ping')) }, { result: 'pong' });

  const calls = Array.from({ length: 20 }, newCall);
  const sdp = audioSdp({ address: '127.0.0.1', port: 6000 });
  for (const { callId, fromTag, toTag } of calls) {
    const offered = await ask('offer', { 'call-id': callId, 'from-tag': fromTag, sdp, replace: ['origin'] });
    const both = { 'call-id': callId, 'from-tag': fromTag, 'to-tag': toTag };
    const answered = await ask('answer', { ...both, sdp, replace: ['origin'] });
    t.is(relayedTo(offered).address, relayedTo(answered).address);
    t.is((await ask('query', both))['result'], 'ok');
  }
  const listed = (await ask('list', { limit: 100 }))['calls'] as string[];
  t.deepEqual(listed.toSorted(), calls.map(({ callId }) => callId).toSorted());
  const shares = await Promise.all(relays.map(async ({ ng }) => (await ng.list()).length));
  t.true(shares.every((share) => share > 0));
  const { statistics } = (await ask('statistics')) as { statistics: { currentstatistics: NgDictionary } };
  t.is(statistics.currentstatistics['sessionstotal'], calls.length);
  for (const { callId, fromTag, toTag } of calls) {
    t.is((await ask('delete', { 'call-id': callId, 'from-tag': fromTag, 'to-tag': toTag }))['result'], 'ok');
  }
  t.deepEqual((await ask('list'))['calls'], []);
  t.log(
    `${calls.length} calls on ${relays.length} relays (${shares.join(' and ')}), listed and counted as on one`,
  );
});
