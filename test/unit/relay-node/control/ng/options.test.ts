import test from 'ava';
import { mediaOptions } from '../../../../../relay-node/control/ng/options.js';
import { noMuxPolicy } from '../../../../../relay-node/media/rtcp-mux.js';

test('options are read wherever they are written', (t) => {
  const received = { 'received-from': ['IP4', '192.0.2.3'] };
  t.deepEqual(mediaOptions({ replace: ['origin'], flags: ['no rtcp attribute'], ...received }), {
    ice: 'default',
    isRecorded: false,
    isAsymmetric: false,
    rtcpMux: noMuxPolicy,
    replaceOrigin: true,
    rtcpAttribute: 'none',
    source: undefined,
    wanted: { own: { name: undefined }, other: { name: undefined, family: undefined } },
    mediaAddress: undefined,
  });
  const words = 'replace-origin full-rtcp-attribute SIP-source-address';
  t.deepEqual(mediaOptions({ 'rtpp-flags': words, ...received }), {
    ice: 'default',
    isRecorded: false,
    isAsymmetric: false,
    rtcpMux: noMuxPolicy,
    replaceOrigin: true,
    rtcpAttribute: 'full',
    source: '192.0.2.3',
    wanted: { own: { name: undefined }, other: { name: undefined, family: undefined } },
    mediaAddress: undefined,
  });
});

test('interfaces are asked for in a list, or in flags', (t) => {
  const wanted = { own: { name: 'lan' }, other: { name: 'wan', family: 6 } };
  const list = { direction: ['lan', 'wan'], 'address-family': 'IP6', 'media-address': '2001:db8::1' };
  t.like(mediaOptions(list), { wanted, mediaAddress: '2001:db8::1' });
  t.like(mediaOptions({ 'rtpp-flags': 'direction=lan direction=wan address-family=IP6' }), { wanted });
  t.like(mediaOptions({ direction: ['lan'] }), {
    wanted: { own: { name: 'lan' }, other: { name: undefined } },
  });
});
