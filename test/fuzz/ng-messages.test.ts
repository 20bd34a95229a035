import test from 'ava';
import fc from 'fast-check';
import { BencodeError, decode, encode } from '../../services/control/ng/bencode.js';
import { callId, command, fromTag, hasFlag, toTag, viaBranch } from '../../services/control/ng/fields.js';
import { encodeBody, NgMessageError, parseMessage } from '../../services/control/ng/message.js';
import { ng } from '../../services/control/ng/protocol.js';
import { splitDatagram } from '../../services/control/udp/datagram.js';
import { corpus } from '../support/ng-corpus.js';

/**
 * Any bytes are either a message or rejected with a reason. Failures print a seed and a path: run `fc.assert` with them to
 * reproduce the bytes.
 */
/** How the parser classifies a datagram. Any other error fails the test. */
function outcome(datagram: Buffer): 'request' | 'refused' | 'dropped' {
  const parts = splitDatagram(datagram);
  if (!parts) {
    return 'dropped';
  }
  ng.read(parts.body);
  try {
    const message = parseMessage(parts.body);
    for (const read of [command, callId, fromTag, toTag, viaBranch]) {
      read(message.body);
    }
    hasFlag(message.body, 'supports', 'load limit');
    parseMessage(encodeBody(message.body, message.format));
    return 'request';
  } catch (error) {
    if (error instanceof NgMessageError) {
      return 'refused';
    }
    throw error;
  }
}

for (const { name, expected, datagram } of corpus) {
  test(`corpus: ${name}`, (t) => {
    t.is(outcome(datagram), expected as ReturnType<typeof outcome>);
  });
}

test('arbitrary bytes', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      outcome(Buffer.from(bytes));
    }),
    { numRuns: 5000 },
  );
  t.pass();
});

test('arbitrary bytes after a cookie and the start of a body', (t) => {
  const start = fc.constantFrom('c d', 'c d1:a', 'c {', 'c {"a":', 'c d7:call-id', 'c d1:al', 'c d1:ai');
  const rest = fc.array(fc.constantFrom(...'dlie:-0123456789a{}[]",\\ '.split(''), '\xff', '\x00'), {
    maxLength: 60,
  });
  fc.assert(
    fc.property(start, rest, (head, tail) => {
      outcome(Buffer.from(head + tail.join(''), 'latin1'));
    }),
    { numRuns: 5000 },
  );
  t.pass();
});

test('the corpus with bytes changed, removed and inserted', (t) => {
  const mutation = fc.record({
    sample: fc.constantFrom(...corpus.filter(({ datagram }) => datagram.length < 2000)),
    edits: fc.array(fc.tuple(fc.nat(2000), fc.nat(3), fc.uint8Array({ maxLength: 4 })), {
      minLength: 1,
      maxLength: 4,
    }),
  });
  fc.assert(
    fc.property(mutation, ({ sample, edits }) => {
      let datagram = sample.datagram;
      for (const [at, removed, inserted] of edits) {
        const position = datagram.length === 0 ? 0 : at % datagram.length;
        datagram = Buffer.concat([
          datagram.subarray(0, position),
          inserted,
          datagram.subarray(position + removed),
        ]);
      }
      outcome(datagram);
    }),
    { numRuns: 5000 },
  );
  t.pass();
});

test('accepted bencode is equal after encoding and decoding again', (t) => {
  const alphabet = fc.constantFrom('d', 'l', 'e', 'i1e', '1:a', '1:b', '0:', '2:\xc3\xa4', '1:\xff', 'i-7e');
  fc.assert(
    fc.property(fc.array(alphabet, { maxLength: 20 }), (tokens) => {
      try {
        const encoded = encode(decode(Buffer.from(tokens.join(''), 'latin1')));
        t.true(encode(decode(encoded)).equals(encoded));
      } catch (error) {
        if (!(error instanceof BencodeError)) {
          throw error;
        }
      }
    }),
    { numRuns: 5000 },
  );
  t.pass();
});

test('the largest hostile datagrams are parsed quickly', (t) => {
  const bodies = [
    `d1:al${'le'.repeat(30_000)}`,
    `d${'0:0:'.repeat(16_000)}e`,
    `d1:a${'9'.repeat(60_000)}`,
    `{"a":[${'[],'.repeat(20_000)}1]}`,
  ];
  const startedAt = performance.now();
  for (const body of bodies) {
    outcome(Buffer.from(`c ${body}`));
  }
  outcome(Buffer.from(`c d10:rtpp-flags60000:${' '.repeat(60_000)}e`));
  t.true(performance.now() - startedAt < 2000);
});
