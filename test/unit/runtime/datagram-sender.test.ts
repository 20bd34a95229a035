import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import test from 'ava';
import { systemClock } from '../../../services/runtime/clock.js';
import { DatagramSender } from '../../../services/runtime/datagram-sender.js';
import { silentLogger } from '../../../services/runtime/log.js';

test('what the system has not taken is bounded; what is beyond is made no bytes, dropped and counted', async (t) => {
  const server = createSocket('udp4');
  server.bind(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const to = { host: '127.0.0.1', port: server.address().port };
  const sender = new DatagramSender({ what: 'test', to, clock: systemClock, log: silentLogger });
  t.teardown(() => sender.stop());
  let encoded = 0;
  const bytes = Buffer.alloc(60_000);
  const send = () =>
    sender.send(() => {
      encoded++;
      return bytes;
    });
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  send();
  t.is(sender.counters.dropped, 1, 'its address is not known yet');
  sender.start();
  while (!sender.local) {
    await turn();
  }
  for (let i = 0; i < 5000; i++) {
    send();
  }
  t.is(encoded, 1000);
  t.is(sender.counters.dropped, 4001);
  while (sender.counters.sent + sender.counters.failed < 1000) {
    await turn();
  }
  send();
  t.is(encoded, 1001, 'there is room again');
});
