import test from 'ava';
import { routesIn } from '../../../../../relay-node/media/kernel/system-routes.js';

const links =
  '[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK"]},{"ifindex":7,"link":"eth0","ifname":"eth0.7","flags":["UP"]}]';

test('an address is on the link, or behind a gateway', (t) => {
  const routes = routesIn(
    [
      links,
      '[{"dst":"10.9.0.2","from":"10.9.0.1","dev":"eth0.7","flags":[],"uid":0,"cache":[]}]',
      '[{"dst":"10.20.0.2","from":"10.9.0.1","gateway":"10.9.0.5","dev":"eth0.7","flags":[],"uid":0,"cache":[]}]',
      '',
    ].join('\n'),
  );
  t.deepEqual(
    [...routes],
    [
      ['10.9.0.2 from 10.9.0.1', { device: 'eth0.7', index: 7, gateway: undefined }],
      ['10.20.0.2 from 10.9.0.1', { device: 'eth0.7', index: 7, gateway: '10.9.0.5' }],
    ],
  );
});

test('what the kernel cannot forward to has no route', (t) => {
  for (const answer of [
    '[{"type":"local","dst":"10.9.0.1","from":"10.9.0.1","dev":"lo","flags":[],"uid":0,"cache":["local"]}]',
    '[{"type":"multicast","dst":"239.0.0.1","dev":"eth0.7","flags":[]}]',
    '[{"dst":"10.9.0.2","dev":"eth0.7","via":{"family":"inet6","host":"fe80::1"},"flags":[]}]',
    '[{"dst":"10.9.0.2","dev":"gone","flags":[]}]',
  ]) {
    t.is(routesIn(`${links}\n${answer}\n`).size, 0, answer);
  }
});

test('an answer of another form is an error', (t) => {
  t.throws(() => routesIn('Usage: ip [ OPTIONS ] OBJECT'));
  t.throws(() => routesIn('[{"dst":7}]'));
});
