import fc from 'fast-check';
import { transcripts } from '../support/rtpproxy-transcripts.js';

const mostBytes = 65_000;

const commands = transcripts.flatMap(({ exchanges }) => exchanges.map(([command]) => command));
/** Of any length: a server takes 255 bytes. */
const cookie = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('c', '1_2', 'x'.repeat(255), 'y'.repeat(256), '') },
  { weight: 3, arbitrary: fc.string({ maxLength: 20 }) },
  { weight: 1, arbitrary: fc.integer({ min: 250, max: mostBytes }).map((size) => 'z'.repeat(size)) },
);
const word = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom('f', 't;1', 'c@h', '127.0.0.1', '4000', '&&', '0', 'M3:1', 'x'.repeat(2000)),
  },
  {
    weight: 1,
    arbitrary: fc.string({ unit: fc.constantFrom('\0', 'f', ';', '1', '%', '\xff'), maxLength: 8 }),
  },
);
/** Of what is known, and of anything else. */
const modifiers = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.string({ unit: fc.constantFrom(...'aswie6lrczn0,.{}:'), maxLength: 40 }),
);
const real = fc.constantFrom(...commands);
const body = fc.oneof(
  { weight: 5, arbitrary: real },
  // In the middle of a word, or of a Call-ID.
  { weight: 1, arbitrary: fc.tuple(real, fc.nat(200)).map(([text, length]) => text.slice(0, length)) },
  // With a NUL in it.
  {
    weight: 1,
    arbitrary: fc.tuple(real, fc.nat(200)).map(([text, at]) => `${text.slice(0, at)}\0${text.slice(at)}`),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(
        fc.constantFrom(...'ULDQPSRCNIGVXZul'),
        modifiers,
        fc.array(word, { maxLength: 40, size: 'max' }),
      )
      .map(([name, added, rest]) => [`${name}${added}`, ...rest].join(' ')),
  },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: mostBytes }).map((size) => 'U c '.padEnd(size, 'x')) },
);

/** Bytes that are left of a datagram: in some there is no more than a part of the cookie. */
const size = fc.oneof(
  { weight: 19, arbitrary: fc.constant(mostBytes) },
  { weight: 1, arbitrary: fc.nat(12) },
);

/** What real programs have sent, and what resembles it more or less. */
export const rtpproxyDatagram = fc
  .tuple(cookie, body, size)
  .map(([first, rest, length]) => Buffer.from(`${first} ${rest}`, 'latin1').subarray(0, length));

/** What a datagram has that an honest one has not. */
const kinds: Readonly<Record<string, (datagram: Buffer, command: string) => boolean>> = {
  'no command': (_, command) => command === '',
  NUL: (_, command) => command.includes('\0'),
  '24 words or more': (_, command) => command.split(' ').length >= 24,
  '8 KiB or more': (_, command) => command.length >= 8192,
  'a long cookie': (datagram, command) => datagram.length - command.length > 256,
};

/** How many of these datagrams are of each hostile kind. */
export function kindsIn(datagrams: readonly Buffer[]): Record<string, number> {
  const counts = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, 0]));
  for (const datagram of datagrams) {
    const text = datagram.toString('latin1');
    const at = text.indexOf(' ');
    const command = at < 0 ? '' : text.slice(at + 1);
    for (const [kind, isOf] of Object.entries(kinds)) {
      counts[kind] = (counts[kind] ?? 0) + (isOf(datagram, command) ? 1 : 0);
    }
  }
  return counts;
}
