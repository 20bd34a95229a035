import test from 'ava';
import { mediaOptions } from '../../../../../relay-node/control/ng/options.js';

test('options are read wherever they are written', (t) => {
  const received = { 'received-from': ['IP4', '192.0.2.3'] };
  t.deepEqual(mediaOptions({ replace: ['origin'], flags: ['no rtcp attribute'], ...received }), {
    replaceOrigin: true,
    rtcpAttribute: 'none',
    source: undefined,
  });
  const words = 'replace-origin full-rtcp-attribute SIP-source-address';
  t.deepEqual(mediaOptions({ 'rtpp-flags': words, ...received }), {
    replaceOrigin: true,
    rtcpAttribute: 'full',
    source: '192.0.2.3',
  });
});
