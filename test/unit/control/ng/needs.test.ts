import test from 'ava';
import type { NgDictionary } from '../../../../services/control/ng/message.js';
import { type Equipment, featuresFor, needsOf } from '../../../../services/control/ng/needs.js';
import { maxOptions } from '../../../../services/control/ng/options.js';
import { SessionDescription } from '../../../../services/control/ng/session-description.js';
import { audioSdp } from '../../../support/ng.js';

const plain = audioSdp({ address: '192.0.2.1', port: 4000 });
const equipment: Equipment = { interfaces: ['lan', 'wan'], families: [4], records: false, ice: false };
const secure = (protocol: string, ...attributes: string[]) =>
  [plain.replace('RTP/AVP', protocol), ...attributes, ''].join('\r\n').replaceAll(/(\r\n)+/g, '\r\n');
const dtls = secure('UDP/TLS/RTP/SAVPF', 'a=fingerprint:sha-256 AA:BB');
const sdes = secure('RTP/SAVP', 'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x');

const request = (options: NgDictionary, sdp: string): NgDictionary => ({
  command: 'offer',
  'call-id': 'c',
  'from-tag': 'f',
  sdp,
  ...options,
});
/** The option that a relay refuses which merely forwards. */
const refused = (options: NgDictionary, sdp = plain, own = equipment) =>
  needsOf(request(options, sdp), SessionDescription.parse(sdp), own)[0]?.option;
/** What the gateway looks for in relays. */
const features = (options: NgDictionary, sdp = plain) =>
  featuresFor(request(options, sdp)).toSorted().join(' ');

test('what proxies send for plain RTP is carried out', (t) => {
  const requests: NgDictionary[] = [
    {},
    {
      flags: ['force', 'trust-address', 'symmetric', 'SIP source address', 'loop protect', 'strict-source'],
      replace: ['origin', 'session connection', 'session-connection'],
      ICE: 'remove',
      'rtcp-mux': ['accept', 'offer', 'require', 'demux', 'reject'],
      supports: ['load limit'],
      'received-from': ['IP4', '192.0.2.1'],
      'via-branch': 'b',
      'to-tag': 't',
      label: 'caller',
    },
    { 'rtpp-flags': 'trust-address replace-origin ICE=remove RTP/AVP address-family=IP4 direction=lan' },
    { 'received from': ['IP4', '192.0.2.1'], 'transport protocol': 'RTP/AVP', 'address family': 'IP4' },
    { direction: ['lan', 'wan'], 'media-address': '192.0.2.77' },
    { codec: { strip: [] }, flags: [], 'delay-buffer': 0, 'record-call': 'off', DTLS: 'off', SDES: ['off'] },
    { command: 'answer', 'transport-protocol': 'accept', ptime: 20 },
  ];
  for (const options of requests) {
    t.is(refused(options), undefined, JSON.stringify(options));
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
  [{ 'media-address': 'phone.example.org' }, 'media-address'],
  [{ 'address-family': 'IP6' }, 'address-family'],
  [{ direction: ['pub', 'priv'] }, 'direction'],
  [{ flags: ['internal'] }, 'internal'],
  [{ flags: ['media handover'] }, 'media-handover'],
  [{ flags: ['generate-mid'] }, 'generate-mid'],
  [{ codec: { transcode: ['PCMA'] } }, 'codec-transcode'],
  [{ codec: { mask: ['all'] } }, 'codec-mask'],
  [{ flags: ['codec-strip-PCMU'] }, 'codec-strip-PCMU'],
  [{ flags: ['transcode=PCMU'] }, 'transcode'],
  [{ ptime: 30 }, 'ptime'],
  [{ 'record-call': 'yes' }, 'record-call'],
  [{ flags: ['record call'] }, 'record-call'],
  [{ 'output-format': 'wav' }, 'output-format'],
  [{ 'rtcp-mux': ['tomorrow'] }, 'rtcp-mux-tomorrow'],
  [{ replace: ['origin', 'username'] }, 'replace-username'],
  [{ TOS: 184 }, 'TOS'],
  [{ 'T.38': ['decode'] }, 'T.38-decode'],
  [{ 'sdp-attr': { audio: { remove: ['x'] } } }, 'sdp-attr'],
  [{ 'rtpp-flags': 'replace-origin ICE=force' }, 'ICE'],
  [{ 'to-call-id': 'another' }, 'to-call-id'],
  [{ 'xmlrpc-callback': '192.0.2.1' }, 'xmlrpc-callback'],
  [{ 'an option of tomorrow': 1 }, 'an-option-of-tomorrow'],
  [{ __proto__: null, constructor: 'x' } as unknown as NgDictionary, 'constructor'],
];

test('what it cannot do is refused by name', (t) => {
  for (const [options, name] of impossible) {
    t.is(refused(options), name, JSON.stringify(options));
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

test('a relay that is a lite agent of ICE serves what needs one', (t) => {
  const ice = ['a=ice-ufrag:x', 'a=candidate:1 1 UDP 1 192.0.2.1 9 typ host'];
  const agent = { ...equipment, ice: true };
  t.is(refused({}, secure('UDP/TLS/RTP/SAVPF', 'a=fingerprint:sha-256 AA', ...ice), agent), undefined);
  t.is(refused({ ICE: 'force', 'ICE-lite': 'both' }, plain, agent), undefined);
  t.is(refused({ ICE: 'optional' }, plain, agent), 'ICE', 'parties might find each other directly');
  t.is(refused({ 'ICE-lite': 'off' }, plain, agent), 'ICE-lite');
  t.is(refused({ 'record-call': 'yes' }, plain, { ...equipment, records: true }), undefined);
  t.is(refused({ metadata: 'x' }, plain, { ...equipment, records: true }), 'metadata');
  t.is(refused({ TOS: 184 }, plain, { ...equipment, dscp: 46 }), undefined);
  t.is(refused({ TOS: 136 }, plain, { ...equipment, dscp: 46 }), 'TOS');
});

test('a party of the other version of IP cannot be reached', (t) => {
  const ipv6 = audioSdp({ address: '2001:db8::1', port: 4000 });
  t.is(refused({}, ipv6), 'address-family');
  t.is(refused({}, ipv6, { ...equipment, families: [4, 6] }), undefined);
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

test('an offer goes to relays with the features that its options name', (t) => {
  const expected: readonly (readonly [NgDictionary, string])[] = [
    [{}, ''],
    [{ flags: ['trust-address'], ICE: 'remove', 'transport-protocol': 'RTP/AVP' }, ''],
    [{ 'transport-protocol': 'RTP/SAVPF', ICE: 'force' }, 'ice srtp'],
    [{ 'transport protocol': 'UDP/TLS/RTP/SAVPF' }, 'srtp'],
    [{ flags: ['RTP/SAVP'] }, 'srtp'],
    [{ 'rtpp-flags': 'replace-origin SDES-unencrypted_srtp ICE-lite=both' }, 'ice srtp'],
    [{ DTLS: 'passive', OSRTP: ['offer'] }, 'srtp'],
    [{ codec: { transcode: ['PCMA'] } }, 'transcode'],
    [{ flags: ['transcode=PCMU', 'always transcode'], ptime: 20, 'T.38': ['decode'] }, 'transcode'],
    [{ codec: { strip: ['PCMU'] } }, 'ng'],
    [{ 'record-call': 'yes' }, 'record'],
    [{ flags: ['record call'], 'audio player': 'always' }, 'play record'],
    [{ direction: ['pub', 'priv'] }, 'bridge'],
    [{ 'address-family': 'IP6' }, 'ipv6'],
    [{ 'media-address': '192.0.2.77' }, ''],
    [{ 'media-address': '0.0.0.0' }, 'ng'],
    [{ 'an option of tomorrow': 1 }, 'ng'],
    [{ 'sdp-attr': { audio: { remove: ['x'] } }, 'rtcp-mux': ['offer'] }, 'ng'],
  ];
  for (const [options, names] of expected) {
    // That the address of the phone is of IPv4 is a need as well.
    t.is(
      features(options),
      [...names.split(' '), 'ipv4'].filter(Boolean).toSorted().join(' '),
      JSON.stringify(options),
    );
  }
});

test('and that its SDP needs', (t) => {
  const ice = ['a=ice-ufrag:x', 'a=candidate:1 1 UDP 1 192.0.2.1 9 typ host'];
  t.is(features({}, audioSdp({ address: '2001:db8::1', port: 4000 })), 'ipv6');
  t.is(features({}, audioSdp({ address: '0.0.0.0', port: 4000 })), '', 'a party on hold is not sent to');
  t.is(features({}, audioSdp({ address: 'phone.example.org', port: 4000 })), '');
  t.is(features({}, secure('RTP/AVP', ...ice)), 'ipv4', 'ICE falls back');
  t.is(features({}, secure('UDP/TLS/RTP/SAVPF', 'a=fingerprint:sha-256 AA', ...ice)), 'ice ipv4 srtp');
  t.is(features({ ICE: 'remove' }, dtls), 'ipv4 srtp', 'a later offer may have to take the keys off');
  t.is(features({}, sdes), 'ipv4 srtp');
  t.is(features({}, 'v=0\r\nm=audio'), 'ng', 'another relay may read more than this one');
});

test('what begins a call otherwise than by an offer needs a relay that knows the command', (t) => {
  t.is(features({ command: 'publish', 'record-call': 'on' }), 'ipv4 record subscribe');
  t.is(features({ command: 'create' }), 'ng');
  t.is(features({ command: 'a command of tomorrow' }), 'ng');
  t.is(features({ command: 'constructor' }), 'ng');
  t.deepEqual(
    featuresFor({ command: 'offer', 'call-id': 'c' }),
    [],
    'every relay refuses an offer without SDP',
  );
});

test('whatever a relay that merely forwards refuses, the gateway looks for in another', (t) => {
  const published = ['ipv4'];
  for (const [options] of impossible) {
    const missing = featuresFor(request(options, plain)).filter((feature) => !published.includes(feature));
    t.true(missing.length > 0, JSON.stringify(options));
  }
});

test('options have a bound, and no SDP or list of flags takes long to read', (t) => {
  const flags = Array.from({ length: maxOptions + 1 }, (_, i) => `flag-${i}`);
  t.true(needsOf({ flags }, SessionDescription.parse(plain), equipment).length <= maxOptions + 1);
  t.is(refused({ flags: Array.from({ length: 20_000 }, () => 'trust-address') }), 'too-many-options');
  t.is(features({ flags: Array.from({ length: 20_000 }, () => 'trust-address') }), 'ipv4 ng');
  t.is(features({ flags: ['x'.repeat(60_000)] }), 'ipv4 ng');
  const [head] = plain.split('m=');
  // The lines of the session are read once, not for each media.
  t.is(features({}, `${head}${'a=x\r\n'.repeat(2000)}${'m=audio 4000 RTP/AVP 0\r\n'.repeat(2000)}`), 'ipv4');
});
