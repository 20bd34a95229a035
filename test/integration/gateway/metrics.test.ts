import test from 'ava';
import { audioSdp, newCall } from '../../support/ng.js';
import { Scrape } from '../../support/prometheus.js';
import { rtpproxyGateway } from './rtpproxy-scene.js';
import { builtinRelay, gateway } from './scene.js';

const sdp = audioSdp({ address: '127.0.0.1', port: 6000 });

test.serial(
  'requests of SIP proxies are counted as those of gRPC are: by front, command and result',
  async (t) => {
    const relay = await builtinRelay(t, { maxSessions: 1 });
    const { proxy, http, lines } = await gateway(t, [{ id: 'r1', controlUrl: relay.controlUrl }]);
    const call = newCall();
    t.is((await proxy.offer(call, sdp))['result'], 'ok');
    await proxy.answer(call, sdp);
    t.is((await proxy.offer(newCall(), sdp))['result'], 'load limit');
    await proxy.request({ command: 'query', 'call-id': 'unknown' });
    // A sender can make up as many as it likes.
    await proxy.request({ command: 'no such 1', 'call-id': call.callId });
    await proxy.request({ command: 'no such 2', 'call-id': call.callId });
    await proxy.request({ command: 'ping' });
    await proxy.delete(call);

    const scrape = await Scrape.of(http);
    const counted = (command: string, result: string) =>
      scrape.value('holdfast_requests_total', { front: 'ng', command, result });
    t.is(counted('offer', 'ok'), 1);
    t.is(counted('offer', 'full'), 1);
    t.is(counted('answer', 'ok'), 1);
    t.is(counted('query', 'unknown_call'), 1);
    t.is(scrape.value('holdfast_requests_total', { front: 'ng', command: 'other' }), 2);
    t.is(scrape.value('holdfast_requests_total', { front: 'ng', command: 'no such 1' }), undefined);
    t.is(counted('ping', 'ok'), 1);
    t.is(counted('delete', 'ok'), 1);
    t.is(scrape.value('holdfast_request_duration_seconds_count', { front: 'ng', command: 'offer' }), 2);
    t.is(scrape.value('holdfast_select_answers_total', { front: 'ng', origin: 'new' }), 2);
    t.is(scrape.value('holdfast_calls_refused_total', { front: 'ng' }), 1);
    t.is(scrape.value('holdfast_calls_refused_total', { front: 'ng', cause: 'relay_full' }), 1);
    t.like(
      lines.find(({ msg }) => msg === 'call refused'),
      { cause: 'relay-full', set: 'default', protocol: 'ng', command: 'offer', level: 40 },
    );
  },
);

test.serial('calls that no relay can take are refused calls', async (t) => {
  const { proxy, http, lines } = await gateway(t, []);
  for (let i = 0; i < 5; i++) {
    await proxy.offer(newCall(), sdp);
  }
  const scrape = await Scrape.of(http);
  t.is(scrape.value('holdfast_calls_refused_total', { front: 'ng' }), 5);
  t.true((scrape.value('holdfast_calls_refused_total', { front: 'ng', cause: 'no_relay' }) ?? 0) > 0);
  t.true(lines.some(({ msg, protocol }) => msg === 'call refused' && protocol === 'ng'));
});

test.serial('a command of rtpproxy is counted by its letter', async (t) => {
  const { ask, replica } = await rtpproxyGateway(t, []);
  await ask('V');
  await ask('Uc8,0 c@h 127.0.0.1 4000 f;1');
  const scrape = await Scrape.of(replica.httpAddress);
  t.is(scrape.value('holdfast_requests_total', { front: 'rtpproxy', command: 'V', result: 'ok' }), 1);
  t.is(scrape.value('holdfast_requests_total', { front: 'rtpproxy', command: 'U', result: 'full' }), 1);
  t.is(scrape.value('holdfast_calls_refused_total', { front: 'rtpproxy', cause: 'no_relay' }), 1);
});
