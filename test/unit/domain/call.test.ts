import test from 'ava';
import fc from 'fast-check';
import { callFromKey, maxBranchBytes, maxCallIdBytes, parseCall } from '../../../services/domain/call.js';
import { HoldfastError } from '../../../services/domain/error.js';

const character = fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code));
/** Rich in what keys are made of: separators, escapes, and what looks like either. */
const tricky = fc.constantFrom('/', '%', '%2F', '%25', '%2f', '2F', '25', '//', 'a');
const text = (limit: number) =>
  fc
    .array(fc.oneof({ weight: 1, arbitrary: character }, { weight: 2, arbitrary: tricky }), { maxLength: 60 })
    .map((parts) => parts.join('').slice(0, limit));
const callId = text(maxCallIdBytes).filter((value) => value !== '');
const branch = text(maxBranchBytes);

function refusal(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof HoldfastError && error.code === 'invalid-argument') {
      return error.message;
    }
    throw error;
  }
  throw new Error('accepted');
}

test('a call is found again by its key', (t) => {
  fc.assert(
    fc.property(callId, branch, (id, via) => {
      const call = parseCall(id, via);
      t.deepEqual(callFromKey(call.key), call);
      t.is(call.callId, id);
      t.is(call.branch, via);
    }),
    { numRuns: 500 },
  );
});

test('two different calls never share a key', (t) => {
  fc.assert(
    fc.property(callId, branch, callId, branch, (idA, viaA, idB, viaB) => {
      const same = idA === idB && viaA === viaB;
      t.is(parseCall(idA, viaA).key === parseCall(idB, viaB).key, same);
    }),
    { numRuns: 2000 },
  );
  // What a careless escape would confuse.
  const keys = [
    parseCall('a/b'),
    parseCall('a', 'b'),
    parseCall('a%2Fb'),
    parseCall('a%252Fb'),
    parseCall('a%2fb'),
    parseCall('a/', 'b'),
    parseCall('a', '/b'),
  ].map(({ key }) => key);
  t.is(new Set(keys).size, keys.length, keys.join(' '));
});

test('no key is a prefix of the keys of another call and its branches', (t) => {
  fc.assert(
    fc.property(callId, callId, branch, (one, other, via) => {
      fc.pre(one !== other);
      t.false(parseCall(other, via).key.startsWith(`${parseCall(one).key}/`));
    }),
    { numRuns: 1000 },
  );
});

test('an ordinary Call-ID stands in its key as it is', (t) => {
  t.is(parseCall('a84b4c76e66710@pc33.example.com').key, 'a84b4c76e66710@pc33.example.com');
  t.is(parseCall('1-2@[2001:db8::1]', 'z9hG4bK776').key, '1-2@[2001:db8::1]/z9hG4bK776');
});

test('text that is the key of no call names none', (t) => {
  for (const key of ['', '/', 'a/', '/a', 'a/b/c', 'a%', 'a%2', 'a%41', 'a%2f', 'a b', 'é', 'a\n']) {
    t.is(callFromKey(key), undefined, JSON.stringify(key));
  }
  t.is(callFromKey('a'.repeat(maxCallIdBytes + 1)), undefined);
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (key) => {
      const call = callFromKey(key);
      t.true(call === undefined || call.key === key);
    }),
  );
});

test('a Call-ID is 1 to 1024 bytes of visible ASCII', (t) => {
  t.is(parseCall('~'.repeat(1024)).callId.length, 1024);
  t.is(
    refusal(() => parseCall('')),
    'call_id: is empty; allowed: 1-1024 bytes of visible ASCII (0x21-0x7e)',
  );
  for (const bad of [
    '~'.repeat(1025),
    ' ',
    'a b',
    'a\tb',
    'a\n',
    '\0',
    'a\x7f',
    'é',
    '\ud83d\ude00',
    '\ud800',
  ]) {
    t.regex(
      refusal(() => parseCall(bad)),
      /^call_id: .* is too long or not visible ASCII; allowed: 1-1024 bytes of visible ASCII \(0x21-0x7e\)$/u,
      JSON.stringify(bad),
    );
  }
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1 }), (value) => {
      fc.pre(!/^[!-~]+$/.test(value) || value.endsWith('\n'));
      t.regex(
        refusal(() => parseCall(value)),
        /^call_id: /,
      );
    }),
  );
});

test('a branch is up to 256 bytes of visible ASCII', (t) => {
  t.is(parseCall('a', '~'.repeat(256)).branch.length, 256);
  for (const bad of ['~'.repeat(257), ' ', 'a\n', 'é']) {
    t.regex(
      refusal(() => parseCall('a', bad)),
      /^via_branch: .*; allowed: 0-256 bytes/u,
      JSON.stringify(bad),
    );
  }
});

test('a refusal shows what came, cut to fit a log line', (t) => {
  const message = refusal(() => parseCall('\x1b[31m'.repeat(1000)));
  t.true(message.length < 800, message);
  t.false(message.includes('\x1b'), 'control characters are escaped');
  t.true(message.includes('(5000 characters)'));
});
