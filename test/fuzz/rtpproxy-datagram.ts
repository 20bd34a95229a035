import fc from 'fast-check';
import { transcripts } from '../support/rtpproxy-transcripts.js';

const commands = transcripts.flatMap(({ exchanges }) => exchanges.map(([command]) => command));
const cookie = fc.oneof(
  fc.constantFrom('c', '1_2', 'x'.repeat(255), 'y'.repeat(256), ''),
  fc.string({ maxLength: 20 }),
);
const words = fc.array(fc.constantFrom('f', 't;1', 'c@h', '127.0.0.1', '4000', '&&', '0', 'x'.repeat(2000)), {
  maxLength: 40,
});
const body = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...commands) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.constantFrom(...'ULDQPSRCNIGVXZul'), fc.string({ maxLength: 12 }), words)
      .map(([name, modifiers, rest]) => [`${name}${modifiers}`, ...rest].join(' ')),
  },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 65_000 }).map((size) => 'U c '.padEnd(size, 'x')) },
);
/** What real programs have sent, and what resembles it more or less. */
export const rtpproxyDatagram = fc
  .tuple(cookie, body)
  .map((parts) => Buffer.from(parts.join(' '), 'latin1').subarray(0, 65_000));
