import test from 'ava';
import fc from 'fast-check';
import { isStun, readCheck } from '../../../../relay-node/media/ice/stun.js';
import { rtcpReport, rtpPacket } from '../../../support/rtp.js';
import { checkOf } from '../../../support/stun.js';

const options = { username: 'own:theirs', password: 'secret', nominates: true };

test('a check is told apart from media, and read', (t) => {
  t.false(isStun(rtpPacket(1, 1)));
  t.false(isStun(rtcpReport(1)));
  t.false(isStun(Buffer.alloc(0)));
  const packet = checkOf(options);
  t.true(isStun(packet));
  const check = readCheck(packet);
  t.like(check, { username: 'own:theirs', isNominated: true, isFromControlled: false });
  t.true(check?.isSignedWith('secret'));
  t.false(check?.isSignedWith('Secret'));
});

test('what was changed on its way is not signed, and no bytes make the reader throw', (t) => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 255 }), (place, change) => {
      const packet = checkOf(options);
      // The fingerprint, of 8 bytes, is not signed.
      const at = place % (packet.length - 8);
      packet[at] = (packet[at] as number) ^ change;
      const check = isStun(packet) ? readCheck(packet) : undefined;
      t.false(check?.isSignedWith('secret') ?? false);
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const body = Buffer.from(bytes);
      const header = Buffer.from('000100002112a442000000000000000000000000', 'hex');
      header.writeUInt16BE(body.length, 2);
      readCheck(Buffer.concat([header, body]))?.isSignedWith('secret');
    }),
  );
  for (let end = 20; end < checkOf(options).length; end++) {
    const cut = checkOf(options).subarray(0, end);
    t.is(readCheck(cut), undefined, 'the length in the header is another one');
  }
});
