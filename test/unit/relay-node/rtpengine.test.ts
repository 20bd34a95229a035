import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import test from 'ava';
import { RtpengineDriver } from '../../../relay-node/relays/rtpengine.js';
import { encodeBody, parseBody } from '../../../services/control/ng/message.js';
import { joinDatagram, splitDatagram } from '../../../services/control/udp/datagram.js';
import { silentLogger } from '../../../services/runtime/log.js';
import { ManualClock } from '../../support/clock.js';

test('no more than 1,000 Call-IDs are asked for; half as many where the list does not come, and more again', async (t) => {
  const relay = createSocket('udp4');
  relay.bind(0, '127.0.0.1');
  await once(relay, 'listening');
  t.teardown(() => relay.close());
  const limits: number[] = [];
  let heard = () => {};
  // It sends nothing where the list would not fit a datagram.
  const fitting = 600;
  relay.on('message', (datagram, { port, address }) => {
    const { cookie = '', body = Buffer.alloc(0) } = splitDatagram(datagram) ?? {};
    const limit = Number(parseBody(body, 'bencode')['limit']);
    if (limits.at(-1) !== limit) {
      limits.push(limit);
    }
    if (limit <= fitting) {
      const calls = Array.from({ length: limit }, (_, i) => `call-${i}`);
      relay.send(joinDatagram(cookie, encodeBody({ result: 'ok', calls }, 'bencode')), port, address);
    }
    heard();
  });
  const clock = new ManualClock();
  const control = { host: '127.0.0.1', port: relay.address().port };
  const driver = new RtpengineDriver({ control, advertise: undefined, clock, log: silentLogger });
  await driver.start();
  t.teardown(() => driver.stop());
  const asked = new Promise<void>((resolve) => (heard = resolve));
  const first = t.throwsAsync(driver.callIds());
  await asked;
  await clock.pass(1000);
  await first;
  t.is((await driver.callIds()).length, 500);
  const again = new Promise<void>((resolve) => (heard = resolve));
  const more = t.throwsAsync(driver.callIds());
  await again;
  await clock.pass(1000);
  await more;
  t.deepEqual(limits, [1000, 500, 625]);
});
