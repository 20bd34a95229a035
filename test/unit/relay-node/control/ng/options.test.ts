import test from 'ava';
import {
  type Equipment,
  firstUnsupported,
  mediaOptions,
} from '../../../../../relay-node/control/ng/options.js';
import type { NgDictionary } from '../../../../../services/control/ng/message.js';
import { SessionDescription } from '../../../../../services/control/ng/session-description.js';
import { isUnsupported, unsupportedOption } from '../../../../../services/control/ng/unsupported.js';
import { audioSdp } from '../../../../support/ng.js';

const plain = audioSdp({ address: '192.0.2.1', port: 4000 });
const equipment: Equipment = { address: '192.0.2.9', interfaces: ['lan'] };
const secure = (protocol: string, ...attributes: string[]) =>
  [plain.replace('RTP/AVP', protocol), ...attributes, ''].join('\r\n').replaceAll(/(\r\n)+/g, '\r\n');
const dtls = secure('UDP/TLS/RTP/SAVPF', 'a=fingerprint:sha-256 AA:BB');
const sdes = secure('RTP/SAVP', 'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x');

const refused = (options: NgDictionary, sdp = plain, own = equipment) =>
  firstUnsupported(
    { command: 'offer', 'call-id': 'c', 'from-tag': 'f', sdp, ...options },
    SessionDescription.parse(sdp),
    own,
  );

test('what proxies send for plain RTP is carried out', (t) => {
  const requests: NgDictionary[] = [
    {},
    {
      flags: ['force', 'trust-address', 'symmetric', 'SIP source address', 'loop protect', 'strict-source'],
      replace: ['origin', 'session connection', 'session-connection'],
      ICE: 'remove',
      'rtcp-mux': ['accept'],
      supports: ['load limit'],
      'received-from': ['IP4', '192.0.2.1'],
      'via-branch': 'b',
      'to-tag': 't',
      label: 'caller',
    },
    { 'rtpp-flags': 'trust-address replace-origin ICE=remove RTP/AVP address-family=IP4 direction=lan' },
    { 'received from': ['IP4', '192.0.2.1'], 'transport protocol': 'RTP/AVP', 'address family': 'IP4' },
    { direction: ['lan', 'lan'], 'media-address': '192.0.2.9' },
    { codec: { strip: [] }, flags: [], 'delay-buffer': 0, 'record-call': 'off', DTLS: 'off', SDES: ['off'] },
    { command: 'answer', 'transport-protocol': 'accept', ptime: 20 },
  ];
  for (const request of requests) {
    t.is(refused(request), undefined, JSON.stringify(request));
  }
});

const impossible: readonly (readonly [NgDictionary, string])[] = [
  [{ 'transport-protocol': 'RTP/SAVPF' }, 'transport-protocol'],
  [{ 'transport protocol': 'UDP/TLS/RTP/SAVP' }, 'transport-protocol'],
  [{ flags: ['RTP/SAVP'] }, 'transport-protocol'],
  [{ ICE: 'force' }, 'ICE'],
  [{ ICE: 'force-relay' }, 'ICE'],
  [{ ICE: 'optional' }, 'ICE'],
  [{ 'ICE-lite': 'both' }, 'ICE-lite'],
  [{ DTLS: 'passive' }, 'DTLS'],
  [{ 'DTLS-reverse': 'passive' }, 'DTLS-reverse'],
  [{ 'DTLS-fingerprint': 'SHA-1' }, 'DTLS-fingerprint'],
  [{ SDES: ['only-AES_CM_128_HMAC_SHA1_80'] }, 'SDES-only-AES-CM-128-HMAC-SHA1-80'],
  [{ flags: ['SDES-unencrypted_srtp'] }, 'SDES-unencrypted-srtp'],
  [{ OSRTP: ['offer'] }, 'OSRTP-offer'],
  [{ 'media-address': '192.0.2.77' }, 'media-address'],
  [{ 'address-family': 'IP6' }, 'address-family'],
  [{ direction: ['pub', 'priv'] }, 'direction'],
  [{ flags: ['internal'] }, 'internal'],
  [{ flags: ['asymmetric'] }, 'asymmetric'],
  [{ flags: ['media handover'] }, 'media-handover'],
  [{ flags: ['generate-mid'] }, 'generate-mid'],
  [{ codec: { transcode: ['PCMA'] } }, 'codec-transcode'],
  [{ codec: { mask: ['all'] } }, 'codec-mask'],
  [{ flags: ['codec-strip-PCMU'] }, 'codec-strip-PCMU'],
  [{ flags: ['transcode=PCMU'] }, 'transcode'],
  [{ ptime: 30 }, 'ptime'],
  [{ 'record-call': 'yes' }, 'record-call'],
  [{ flags: ['record call'] }, 'record-call'],
  [{ 'rtcp-mux': ['demux'] }, 'rtcp-mux-demux'],
  [{ 'rtcp-mux': ['offer'] }, 'rtcp-mux-offer'],
  [{ replace: ['origin', 'username'] }, 'replace-username'],
  [{ TOS: 184 }, 'TOS'],
  [{ 'T.38': ['decode'] }, 'T.38-decode'],
  [{ 'sdp-attr': { audio: { remove: ['x'] } } }, 'sdp-attr'],
  [{ 'rtpp-flags': 'replace-origin ICE=force' }, 'ICE'],
  [{ 'xmlrpc-callback': '192.0.2.1' }, 'xmlrpc-callback'],
  [{ 'an option of tomorrow': 1 }, 'an-option-of-tomorrow'],
  [{ __proto__: null, constructor: 'x' } as unknown as NgDictionary, 'constructor'],
];

test('what it cannot do is refused by name', (t) => {
  for (const [request, name] of impossible) {
    t.is(refused(request), name, JSON.stringify(request));
  }
});

test('SRTP and DTLS pass from party to party; nothing else is done with them', (t) => {
  t.is(refused({}, sdes), undefined);
  t.is(refused({ 'transport-protocol': 'RTP/SAVP' }, sdes), undefined);
  t.is(refused({ 'transport-protocol': 'RTP/AVP' }, sdes), 'transport-protocol');
  t.is(refused({ SDES: ['off'] }, sdes), 'SDES-off');
  t.is(refused({ ICE: 'remove' }, dtls), undefined);
  t.is(refused({ DTLS: 'off' }, dtls), 'DTLS');
});

test('ICE falls back to c= and m=, except in browsers', (t) => {
  const ice = ['a=ice-ufrag:x', 'a=candidate:1 1 UDP 1 192.0.2.1 9 typ host'];
  t.is(refused({}, secure('RTP/AVP', ...ice)), undefined);
  t.is(refused({}, secure('UDP/TLS/RTP/SAVPF', 'a=fingerprint:sha-256 AA', ...ice)), 'ICE');
  t.is(refused({ ICE: 'remove' }, secure('UDP/TLS/RTP/SAVPF', ...ice)), undefined);
});

test('a party of the other version of IP cannot be reached', (t) => {
  const ipv6 = audioSdp({ address: '2001:db8::1', port: 4000 });
  t.is(refused({}, ipv6), 'address-family');
  t.is(refused({}, ipv6, { ...equipment, address: '2001:db8::9' }), undefined);
  t.is(refused({}, audioSdp({ address: '::', port: 4000 })), undefined, 'on hold it need not be');
  const behind = { flags: ['SIP-source-address'], 'received-from': ['IP4', '192.0.2.3'] };
  t.is(refused(behind, ipv6), undefined, 'the source address is believed more');
});

test('a zero address is passed on, and not replaced', (t) => {
  t.is(refused({ replace: ['zero address'] }), undefined);
  t.is(
    refused({ replace: ['zero address'] }, audioSdp({ address: '0.0.0.0', port: 4000 })),
    'replace-zero-address',
  );
});

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

test('a refusal is recognized, whatever the name', (t) => {
  for (const name of ['ICE', 'x"y', 'a\nb', 'z'.repeat(500), '']) {
    const reason = unsupportedOption(name);
    t.true(isUnsupported({ result: 'error', 'error-reason': reason }), reason);
    t.regex(reason, /^Option "[\x21-\x7e]{0,63}" is not supported by this relay$/);
  }
  t.is(unsupportedOption('transport-protocol'), 'Option "transport-protocol" is not supported by this relay');
  t.true(isUnsupported({ result: 'error', 'error-reason': 'Unrecognized command' }));
  t.false(isUnsupported({ result: 'error', 'error-reason': 'Ran out of ports' }));
  t.false(isUnsupported({ result: 'ok', sdp: unsupportedOption('ICE') }));
});
