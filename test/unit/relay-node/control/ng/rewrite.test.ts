import { createRequire } from 'node:module';
import test from 'ava';
import fc from 'fast-check';
import { type Rewrite, rewriteSdp } from '../../../../../relay-node/control/ng/rewrite.js';
import { SdpError, SessionDescription } from '../../../../../services/control/ng/session-description.js';
import { isUnspecified } from '../../../../../services/runtime/address.js';

/** An independent reader of what the relay writes. */
interface Reader {
  parse(sdp: string): {
    origin: { address: string };
    connection?: { ip: string; version: number };
    media: {
      port: number;
      protocol: string;
      payloads: string;
      rtcp?: { port: number; address?: string };
      connection?: { ip: string };
    }[];
  };
}
const reader = createRequire(import.meta.url)('sdp-transform') as Reader;

const lines = (...text: string[]) => `${text.join('\r\n')}\r\n`;
const session = ['v=0', 'o=- 20518 1 IN IP4 203.0.113.1', 's=-', 'c=IN IP4 203.0.113.1', 't=0 0'];
const own = '192.0.2.9';
const offer: Rewrite = {
  address: own,
  kind: 'offer',
  replaceOrigin: false,
  rtcpAttribute: 'as-sent',
  media: [{ address: own, rtp: 30_000, rtcp: 30_001, rtcpMux: false }],
};
const rewritten = (sdp: string, rewrite: Partial<Rewrite> = {}) =>
  rewriteSdp(SessionDescription.parse(sdp), { ...offer, ...rewrite })
    .split('\r\n')
    .slice(0, -1);

test('only addresses and ports change; every other line stays, in its place', (t) => {
  const sdp = [
    ...session,
    'a=x-unknown:session',
    'm=audio 4000 RTP/SAVP 0 96',
    'i=title',
    'b=AS:64',
    'k=clear:x',
    'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc UNENCRYPTED_SRTCP WSH=64',
    'a=rtpmap:96 x-odd+name/8000/1',
    'a=x-unknown',
    'a=sendrecv',
  ];
  const expected = sdp.map((line) =>
    line.replace('c=IN IP4 203.0.113.1', 'c=IN IP4 192.0.2.9').replace('audio 4000', 'audio 30000'),
  );
  t.deepEqual(rewritten(lines(...sdp)), expected);
});

test('origin changes only on request, and keeps its id and version', (t) => {
  const sdp = lines(...session, 'm=audio 4000 RTP/AVP 0');
  t.is(rewritten(sdp)[1], 'o=- 20518 1 IN IP4 203.0.113.1');
  t.is(rewritten(sdp, { replaceOrigin: true })[1], 'o=- 20518 1 IN IP4 192.0.2.9');
  t.is(rewritten(sdp, { replaceOrigin: true, address: '2001:db8::9' })[1], 'o=- 20518 1 IN IP6 2001:db8::9');
});

test('connection lines of session and media, in both families', (t) => {
  const sdp = lines(...session, 'm=audio 4000 RTP/AVP 0', 'c=IN IP6 2001:db8::1', 'm=video 4002 RTP/AVP 96');
  const description = SessionDescription.parse(sdp);
  t.deepEqual(
    description.media.map(({ address, port, rtcp }) => [address, port, rtcp.port]),
    [
      ['2001:db8::1', 4000, 4001],
      ['203.0.113.1', 4002, 4003],
    ],
  );
  const media = [
    { address: own, rtp: 30_000, rtcp: 30_001, rtcpMux: false },
    { address: own, rtp: 30_002, rtcp: 30_003, rtcpMux: false },
  ];
  const read = reader.parse(rewriteSdp(description, { ...offer, media }));
  t.is(read.connection?.ip, '192.0.2.9');
  t.is(read.media[0]?.connection?.ip, '192.0.2.9');
  t.deepEqual(
    read.media.map(({ port }) => port),
    [30_000, 30_002],
  );
});

test('rejected media stay rejected; TCP media keep their address', (t) => {
  const sdp = lines(
    ...session,
    'm=audio 4000 RTP/AVP 0',
    'm=video 0 RTP/AVP 96',
    'm=message 2855 TCP/MSRP *',
    'i=chat',
    'a=path:msrp://203.0.113.1:2855/x;tcp',
  );
  const out = rewritten(sdp, {
    media: [{ address: own, rtp: 30_000, rtcp: 30_001, rtcpMux: false }, undefined, undefined],
  });
  t.deepEqual(out.slice(5), [
    'm=audio 30000 RTP/AVP 0',
    'm=video 0 RTP/AVP 96',
    'm=message 2855 TCP/MSRP *',
    'i=chat',
    'c=IN IP4 203.0.113.1',
    'a=path:msrp://203.0.113.1:2855/x;tcp',
  ]);
});

test('a=rtcp and rtcp-mux (RFC 3605, 5761, 8858)', (t) => {
  const rtcpOf = (kind: 'offer' | 'answer', ...attributes: string[]) =>
    rewritten(lines(...session, 'm=audio 4000 RTP/AVP 0', ...attributes), {
      kind,
      media: [{ address: own, rtp: 30_000, rtcp: 30_001, rtcpMux: attributes.join().includes('mux') }],
    }).find((line) => line.startsWith('a=rtcp:'));
  t.is(rtcpOf('offer'), undefined, 'the next port up needs no line');
  t.is(rtcpOf('offer', 'a=rtcp:5000'), 'a=rtcp:30001');
  t.is(rtcpOf('offer', 'a=rtcp:5000 IN IP4 203.0.113.2'), 'a=rtcp:30001 IN IP4 192.0.2.9');
  t.is(rtcpOf('offer', 'a=rtcp-mux', 'a=rtcp:4000'), 'a=rtcp:30001', 'the port to fall back to');
  t.is(rtcpOf('answer', 'a=rtcp-mux', 'a=rtcp:4000'), 'a=rtcp:30000', 'the answer agreed to multiplex');
  t.is(rtcpOf('offer', 'a=rtcp-mux-only', 'a=rtcp:4000'), 'a=rtcp:30000');
  const [media] = SessionDescription.parse(
    lines(...session, 'm=audio 4000 RTP/AVP 0', 'a=rtcp:5000 IN IP4 203.0.113.2'),
  ).media;
  t.deepEqual(media?.rtcp, { port: 5000, address: '203.0.113.2' });
});

test('rtcp-mux is what the other party is to be told', (t) => {
  const media = (kind: 'offer' | 'answer', rtcpMux: boolean, muxOnly: boolean, ...attributes: string[]) =>
    rewritten(lines(...session, 'm=audio 4000 RTP/AVP 0', ...attributes), {
      kind,
      muxOnly,
      media: [{ address: own, rtp: 30_000, rtcp: 30_001, rtcpMux }],
    }).slice(6);
  t.deepEqual(media('offer', false, false, 'a=rtcp-mux', 'a=rtcp:4000'), ['a=rtcp:30001']);
  t.deepEqual(media('offer', false, false, 'a=rtcp-mux-only'), []);
  t.deepEqual(media('offer', true, false), ['a=rtcp-mux']);
  t.deepEqual(media('offer', true, true), ['a=rtcp:30000', 'a=rtcp-mux']);
  t.deepEqual(media('answer', true, false), ['a=rtcp:30000', 'a=rtcp-mux']);
  t.deepEqual(media('answer', true, false, 'a=rtcp:4001'), ['a=rtcp:30000', 'a=rtcp-mux']);
});

test('media whose addresses differ have each its own c=', (t) => {
  const sdp = lines(...session, 'm=audio 4000 RTP/AVP 0', 'i=voice', 'm=video 4002 RTP/AVP 96');
  const media = [
    { address: own, rtp: 30_000, rtcp: 30_001, rtcpMux: false },
    { address: '2001:db8::9', rtp: 30_002, rtcp: 30_003, rtcpMux: false },
  ];
  t.deepEqual(rewritten(sdp, { media }).slice(3), [
    `c=IN IP4 ${own}`,
    't=0 0',
    'm=audio 30000 RTP/AVP 0',
    'i=voice',
    'm=video 30002 RTP/AVP 96',
    'c=IN IP6 2001:db8::9',
  ]);
  const onHold = sdp.replace('c=IN IP4 203.0.113.1', 'c=IN IP4 0.0.0.0');
  t.notRegex(rewritten(onHold, { media }).join('\n'), /c=IN IP6/, 'all are on hold');
});

test('a=rtcp can be left out, or always be there', (t) => {
  const sdp = lines(...session, 'm=audio 4000 RTP/AVP 0', 'a=rtcp:5000', 'a=sendrecv');
  const media = (rtcpAttribute: Rewrite['rtcpAttribute']) => rewritten(sdp, { rtcpAttribute }).slice(6);
  t.deepEqual(media('none'), ['a=sendrecv']);
  t.deepEqual(media('full'), ['a=sendrecv', 'a=rtcp:30001 IN IP4 192.0.2.9']);
});

test('ICE is taken out, at every level', (t) => {
  const ice = [
    'a=ice-ufrag:x',
    'a=ice-pwd:y',
    'a=ice-options:trickle',
    'a=ice-lite',
    'a=candidate:1 1 UDP 1 203.0.113.1 9 typ host',
    'a=end-of-candidates',
    'a=remote-candidates:1 203.0.113.1 9',
  ];
  const out = rewritten(lines(...session, ...ice, 'm=audio 4000 RTP/AVP 0', ...ice, 'a=iceland'));
  t.deepEqual(out.slice(5), ['m=audio 30000 RTP/AVP 0', 'a=iceland']);
});

test('the old hold address stays visible', (t) => {
  const sdp = lines(
    'v=0',
    'o=- 1 2 IN IP4 203.0.113.1',
    's=-',
    'c=IN IP4 0.0.0.0',
    't=0 0',
    'm=audio 4000 RTP/AVP 0',
  );
  t.is(rewritten(sdp)[3], 'c=IN IP4 0.0.0.0');
  t.is(rewritten(sdp.replace('IP4 0.0.0.0', 'IP6 ::'))[3], 'c=IN IP6 ::');
  t.true(isUnspecified('0:0:0:0:0:0:0:0'));
  t.false(isUnspecified('::1'));
  t.false(isUnspecified('0'));
});

test('direction comes from the media, else from the session', (t) => {
  const media = SessionDescription.parse(
    lines(...session, 'a=sendonly', 'm=audio 4000 RTP/AVP 0', 'm=video 4002 RTP/AVP 96', 'a=inactive'),
  ).media;
  t.deepEqual(
    media.map(({ direction }) => direction),
    ['sendonly', 'inactive'],
  );
});

test('bare line feeds are read, and written as the standard wants', (t) => {
  t.is(
    rewritten(lines(...session, 'm=audio 4000 RTP/AVP 0').replaceAll('\r', ''))[5],
    'm=audio 30000 RTP/AVP 0',
  );
});

test('what is no SDP is refused', (t) => {
  const bad = [
    '',
    'hello',
    'v=1\r\n',
    lines(...session, 'm=audio'),
    lines(...session, 'm=audio 65536 RTP/AVP 0'),
    lines(...session, 'm=audio -1 RTP/AVP 0'),
    lines('v=0', 'm=audio 4000 RTP/AVP 0'),
    lines(...session, ...Array.from({ length: 5000 }, () => 'a=x')),
  ];
  for (const sdp of bad) {
    t.throws(() => SessionDescription.parse(sdp), { instanceOf: SdpError }, sdp.slice(0, 60));
  }
});

test('no text makes the reader throw anything else, or take long', (t) => {
  const line = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.constantFrom(
      'v=0',
      'c=IN IP4 203.0.113.1',
      'm=audio 4000 RTP/AVP 0',
      'm=audio 1/2 x',
      'a=rtcp:',
      'a=rtcp-mux',
      'a=candidate',
      'c=',
      'm=',
    ),
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 30 }), (text) => {
      const sdp = ['v=0', ...text].join('\r\n');
      try {
        const parsed = SessionDescription.parse(sdp);
        rewriteSdp(parsed, {
          ...offer,
          media: parsed.media.map(() => ({ address: own, rtp: 30_000, rtcp: 30_001, rtcpMux: false })),
        });
      } catch (error) {
        if (!(error instanceof SdpError)) {
          throw error;
        }
      }
    }),
    { numRuns: 1000 },
  );
  const startedAt = performance.now();
  for (const start of ['a=imageattr:96 send ', 'm=', 'c=IN IP4 ', 'a=rtcp:1 IN IP4 ', 'o=']) {
    try {
      SessionDescription.parse(lines('v=0', start + '[ '.repeat(30_000)));
    } catch (error) {
      if (!(error instanceof SdpError)) {
        throw error;
      }
    }
  }
  t.true(performance.now() - startedAt < 1000);
});
