import { RtpengineDriver } from '../../../relay-node/relays/rtpengine.js';
import type { NgDictionary } from '../../../services/control/ng/message.js';
import { systemClock } from '../../../services/runtime/clock.js';
import { silentLogger } from '../../../services/runtime/log.js';
import { audioSdp, newCall, relayedTo } from '../../support/ng.js';
import { lookup } from '../../support/replica.js';
import { testWith } from '../../support/requirement.js';
import { startRtpengine } from '../../support/rtpengine.js';
import { builtinRelay, gateway } from './scene.js';

const sdp = audioSdp({ address: '127.0.0.1', port: 6000 });
const needing: readonly NgDictionary[] = [
  { 'transport-protocol': 'RTP/SAVP' },
  { 'transport-protocol': 'UDP/TLS/RTP/SAVPF', ICE: 'force' },
  { flags: ['trust-address', 'RTP/SAVPF'] },
  { codec: { strip: ['PCMU'] } },
  { codec: { transcode: ['G722'] } },
  { 'record-call': 'on' },
  { flags: ['generate-mid'] },
];

testWith.serial(
  ['rtpengine'],
  'an offer that the built-in relay would refuse goes to rtpengine, and the built-in relay never hears of it',
  async (t) => {
    const builtin = await builtinRelay(t);
    const { port, controlUrl } = await startRtpengine(t);
    const control = { host: '127.0.0.1', port };
    const rtpengine = new RtpengineDriver({
      control,
      advertise: undefined,
      clock: systemClock,
      log: silentLogger,
    });
    await rtpengine.start();
    t.teardown(() => rtpengine.stop());
    const { proxy, selection } = await gateway(t, [
      { id: 'builtin', controlUrl: builtin.controlUrl, weight: 10_000, features: await builtin.features() },
      { id: 'rtpengine', kind: 'rtpengine', controlUrl, weight: 1, features: await rtpengine.features() },
    ]);
    for (const extra of needing) {
      const call = newCall();
      t.truthy(relayedTo(await proxy.offer(call, sdp, { extra })), JSON.stringify(extra));
      t.is((await lookup(selection, call.callId)).binding?.relay?.id, 'rtpengine', JSON.stringify(extra));
    }
    t.is(builtin.ngCounters.received, 0);
    const plain = Array.from({ length: 10 }, newCall);
    for (const call of plain) {
      t.truthy(relayedTo(await proxy.offer(call, sdp)));
    }
    t.true(builtin.ngCounters.received > 0, 'what needs nothing goes to either');
  },
);

testWith.serial(['rtpengine'], 'a call is carried though no relay publishes what it needs', async (t) => {
  const builtin = await builtinRelay(t);
  const { controlUrl } = await startRtpengine(t);
  const { proxy, selection } = await gateway(t, [
    { id: 'builtin', controlUrl: builtin.controlUrl, weight: 10_000 },
    { id: 'rtpengine', kind: 'rtpengine', controlUrl, weight: 1 },
  ]);
  for (const extra of needing) {
    const call = newCall();
    t.truthy(relayedTo(await proxy.offer(call, sdp, { extra })), JSON.stringify(extra));
    t.is((await lookup(selection, call.callId)).binding?.relay?.id, 'rtpengine');
  }
});
