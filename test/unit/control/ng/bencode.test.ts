import test from 'ava';
import fc from 'fast-check';
import { BencodeError, type BencodeValue, decode, encode } from '../../../../services/control/ng/bencode.js';

const bytes = (text: string) => Buffer.from(text, 'latin1');

function refuses(input: string | Buffer): BencodeError {
  try {
    decode(typeof input === 'string' ? bytes(input) : input);
  } catch (error) {
    if (error instanceof BencodeError) {
      return error;
    }
    throw error;
  }
  throw new Error(`accepted ${input.toString()}`);
}

test('decodes what a SIP proxy sends', (t) => {
  const value = decode(bytes('d7:call-id3:a@b7:command5:offer5:flagsl3:asye5:limiti-42ee'));
  t.deepEqual({ ...(value as object) }, { 'call-id': 'a@b', command: 'offer', flags: ['asy'], limit: -42 });
});

test('strings that are not UTF-8 stay bytes, others become text', (t) => {
  t.deepEqual(decode(bytes('2:\xff\x00')), Buffer.from([0xff, 0]));
  t.is(decode(Buffer.from('3:\ufeff')), '\ufeff', 'a byte order mark is part of the text');
  t.is(decode(bytes('0:')), '');
});

test('of a key that comes twice the first value counts', (t) => {
  t.is((decode(bytes('d1:ai1e1:ai2ee')) as Record<string, unknown>)['a'], 1);
});

test('a key cannot reach a prototype', (t) => {
  const value = decode(bytes('d9:__proto__d5:adminleee')) as Record<string, unknown>;
  t.deepEqual(Object.keys(value), ['__proto__']);
  t.is((value as { admin?: unknown }).admin, undefined);
  t.is(({} as { admin?: unknown }).admin, undefined);
});

test('refusals say why and where', (t) => {
  const cases: [string, string, number][] = [
    ['', 'truncated', 0],
    ['d', 'truncated', 1],
    ['d1:a', 'truncated', 4],
    ['l', 'truncated', 1],
    ['i', 'truncated', 1],
    ['i5', 'truncated', 2],
    ['5', 'truncated', 1],
    ['5:abc', 'string longer than the input', 0],
    ['99999999999999999999:a', 'number too large', 0],
    ['i9007199254740992e', 'number too large', 0],
    ['ie', 'number without digits', 0],
    ['i-e', 'number without digits', 0],
    ['i-0e', 'negative zero', 0],
    ['i007e', 'leading zero', 0],
    ['03:abc', 'leading zero', 0],
    ['i1.5e', 'not a digit', 2],
    ['x', 'unknown type', 0],
    ['di1e1:ae', 'key is not a string', 1],
    ['d1:\xffi1ee', 'key is not UTF-8', 1],
    ['i1ei2e', 'trailing bytes', 3],
    ['dee', 'trailing bytes', 2],
  ];
  for (const [input, reason, offset] of cases) {
    const error = refuses(input);
    t.is(error.message, `${reason} at byte ${offset}`, input);
    t.is(error.offset, offset, input);
  }
});

test('depth and size are bounded', (t) => {
  t.is(refuses('l'.repeat(60_000)).message, 'nested deeper than 32 at byte 32');
  t.regex(refuses(Buffer.alloc(65_536)).message, /at most 65535/);
  t.notThrows(() => decode(bytes(`${'l'.repeat(32)}${'e'.repeat(32)}`)));
});

test('encodes keys sorted and refuses what the format cannot say', (t) => {
  t.is(encode({ b: 1, a: ['x', Buffer.from([0xff])] }).toString('latin1'), 'd1:al1:x1:\xffe1:bi1ee');
  t.is(encode(-0).toString(), 'i0e');
  const cycle: BencodeValue[] = [];
  cycle.push(cycle);
  for (const value of [1.5, Number.NaN, 2 ** 53, undefined, null, true, cycle, { a: undefined }, 5n]) {
    t.throws(() => encode(value as BencodeValue), { instanceOf: BencodeError });
  }
});

const { value: anyValue } = fc.letrec<{ value: BencodeValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.maxSafeInteger().map((n) => n + 0),
    fc.string({ unit: 'binary' }).map((text) => Buffer.from(text).toString()),
    // Bytes that can be no text: 0xff occurs nowhere in UTF-8.
    fc.uint8Array().map((tail) => Buffer.from([0xff, ...tail])),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(
      fc.string({ unit: 'binary' }).map((text) => Buffer.from(text).toString()),
      tie('value'),
      { maxKeys: 5, noNullPrototype: false },
    ),
  ),
}));

test('what was encoded decodes to the same', (t) => {
  fc.assert(
    fc.property(anyValue, (value) => {
      t.deepEqual(canonical(decode(encode(value))), canonical(value));
    }),
    { numRuns: 500 },
  );
});

test('what was decoded encodes to the same bytes when it was canonical', (t) => {
  fc.assert(
    fc.property(anyValue, (value) => {
      const encoded = encode(value);
      t.true(encode(decode(encoded)).equals(encoded));
    }),
    { numRuns: 500 },
  );
});

/** Plain objects with a fixed key order, because prototypes and order are not what is compared. */
function canonical(value: BencodeValue): unknown {
  if (Array.isArray(value)) {
    return value.map(canonical);
  }
  if (typeof value !== 'object' || Buffer.isBuffer(value)) {
    return value === 0 ? 0 : value;
  }
  return Object.keys(value)
    .sort()
    .map((key) => [key, canonical(value[key] as BencodeValue)]);
}
