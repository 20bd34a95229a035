import test, { type ExecutionContext } from 'ava';
import { RtpengineDriver } from '../../../relay-node/relays/rtpengine.js';
import { NgServer } from '../../../services/control/ng/server.js';
import { systemClock } from '../../../services/runtime/clock.js';
import { silentLogger } from '../../../services/runtime/log.js';
import { testWith } from '../../support/requirement.js';
import { startRtpengine } from '../../support/rtpengine.js';

async function driver(t: ExecutionContext, port: number): Promise<RtpengineDriver> {
  const control = { host: '127.0.0.1', port };
  const relay = new RtpengineDriver({ control, advertise: undefined, clock: systemClock, log: silentLogger });
  await relay.start();
  t.teardown(() => relay.stop());
  return relay;
}

testWith(['rtpengine'], 'an rtpengine is asked what it can do, and has no call afterwards', async (t) => {
  const { port } = await startRtpengine(t, ['--interface=inside/127.0.0.1', '--interface=outside/::1']);
  const relay = await driver(t, port);
  const features = await relay.features();
  t.deepEqual(features, [
    'bridge',
    'ice',
    'ipv4',
    'ipv6',
    'ng',
    'play',
    'record',
    'srtp',
    'subscribe',
    'transcode',
  ]);
  t.deepEqual(await relay.callIds(), []);
});

test('an rtpengine without media players has no transcoding either', async (t) => {
  const server = new NgServer({
    listen: [{ host: '127.0.0.1', port: 0 }],
    handler: async ({ body }) =>
      body.command === 'statistics'
        ? { result: 'ok', statistics: { interfaces: [{ name: 'default', address: '192.0.2.1' }] } }
        : { result: 'error', 'error-reason': 'Unrecognized command' },
  });
  await server.start();
  t.teardown(() => server.stop());
  const relay = await driver(t, server.addresses()[0]?.port ?? 0);
  t.deepEqual(await relay.features(), ['ice', 'ipv4', 'ng', 'srtp']);
});
