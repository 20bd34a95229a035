import test from 'ava';
import { endpointsOf, isRelayable, payloadOf } from '../../../../../relay-node/control/ng/endpoints.js';
import { SessionDescription } from '../../../../../services/control/ng/session-description.js';
import { audioSdp } from '../../../../support/ng.js';

test('what the packets of a protocol look like', (t) => {
  t.deepEqual(['RTP/AVP', 'RTP/SAVPF', 'UDP/TLS/RTP/SAVPF', 'udptl', 'UDP/BFCP'].map(payloadOf), [
    'rtp',
    'rtp',
    'dtls-srtp',
    'opaque',
    'opaque',
  ]);
});

test('TCP media are not relayed', (t) => {
  t.deepEqual(['TCP/MSRP', 'TCP/TLS/MSRP', 'udptl', 'RTP/AVP', 'TCPX'].map(isRelayable), [
    false,
    false,
    true,
    true,
    true,
  ]);
});

const more = ['m=video 0 RTP/AVP 96', 'm=message 2855 TCP/MSRP *', 'm=image 6000 udptl t38', 'a=sendonly'];

test('one endpoint per media; none for what is rejected or not relayed', (t) => {
  const sdp = SessionDescription.parse(audioSdp({ address: '192.0.2.1', port: 4000, rtcpPort: 4009, more }));
  t.deepEqual(endpointsOf(sdp, { source: undefined, isAsymmetric: false }), [
    {
      rtp: { address: '192.0.2.1', port: 4000 },
      rtcpMux: false,
      events: [{ type: 101, clockRate: 8000 }],
      clockRate: 8000,
      iceUfrag: undefined,
      formats: [8, 0, 101],
      rtcp: { address: '192.0.2.1', port: 4009 },
      direction: 'sendrecv',
      isAsymmetric: false,
      payload: 'rtp',
      type: 'audio',
      protocol: 'RTP/AVP',
    },
    undefined,
    undefined,
    {
      rtp: { address: '192.0.2.1', port: 6000 },
      rtcpMux: false,
      events: [],
      clockRate: undefined,
      iceUfrag: undefined,
      formats: [],
      rtcp: { address: '192.0.2.1', port: 6001 },
      direction: 'sendonly',
      isAsymmetric: false,
      payload: 'opaque',
      type: 'image',
      protocol: 'udptl',
    },
  ]);
});

test('the source address takes the place of the signaled one, but not on hold, and only if it is one', (t) => {
  const addressOf = (address: string, source: string) =>
    endpointsOf(SessionDescription.parse(audioSdp({ address, port: 4000 })), {
      source,
      isAsymmetric: false,
    })[0]?.rtp.address;
  t.is(addressOf('10.0.0.1', '192.0.2.7'), '192.0.2.7');
  t.is(addressOf('0.0.0.0', '192.0.2.7'), '0.0.0.0');
  t.is(addressOf('10.0.0.1', 'elsewhere'), '10.0.0.1');
});
