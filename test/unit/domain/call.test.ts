import test from 'ava';
import fc from 'fast-check';
import {
  bytesOf,
  type Call,
  callFromKey,
  inSet,
  isHashed,
  keyPrefixOf,
  maxBranchBytes,
  maxCallIdBytes,
  parseCall,
} from '../../../services/domain/call.js';
import { HoldfastError } from '../../../services/domain/error.js';

const character = fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code));
/** Rich in what keys are made of: separators, escapes, hash marks, and what looks like either. */
const tricky = fc.constantFrom('/', '%', '%2F', '%25', '%2f', '%7E', '2F', '25', '//', '~', '~~', 'a');
const visible = fc
  .array(fc.oneof({ weight: 1, arbitrary: character }, { weight: 2, arbitrary: tricky }), { maxLength: 60 })
  .map((parts) => parts.join(''));
/** As gRPC has them: any text. */
const text = fc
  .oneof(visible, fc.string({ unit: 'binary', maxLength: 300 }), fc.string({ unit: 'grapheme' }))
  .filter((id) => id !== '');
/** As a control protocol has them: any bytes, a few as many as are allowed. */
const bytes = fc
  .oneof(
    text.map((id) => Buffer.from(id)),
    fc.uint8Array({ minLength: 1, maxLength: 600 }).map((array) => Buffer.from(array)),
    fc
      .tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 400, max: maxCallIdBytes }))
      .map(([byte, length]) => Buffer.alloc(length, byte)),
  )
  .filter((id) => id.length <= maxCallIdBytes);
const branch = visible.map((via) => via.slice(0, maxBranchBytes));
const set = fc.constantFrom('default', 'edge', '0', 'a'.repeat(63));
const call = fc.tuple(bytes, branch, set).map(([id, via, of]) => parseCall(id, via, of));

/** What etcd holds of a call: its key, and its Call-ID where the key does not tell it. */
function read(of: Call): Call | undefined {
  return isHashed(of)
    ? (callFromKey(of.key, of.callId) ?? callFromKey(of.key, Buffer.from(of.callId, 'latin1')))
    : callFromKey(of.key);
}

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

test('a call is found again by its key, and its Call-ID byte for byte', (t) => {
  fc.assert(
    fc.property(bytes, branch, set, (id, via, of) => {
      const made = parseCall(id, via, of);
      t.deepEqual(read(made), made);
      t.true(bytesOf(made).equals(id));
      t.is(made.branch, via);
      t.is(made.set, of);
    }),
    { numRuns: 300 },
  );
});

test('a Call-ID is the same call whether it comes as text or as bytes', (t) => {
  fc.assert(
    fc.property(text, (id) => {
      fc.pre(Buffer.byteLength(id) <= maxCallIdBytes);
      t.deepEqual(parseCall(Buffer.from(id)), parseCall(id));
      t.is(parseCall(id).callId, id);
    }),
  );
});

test('two different calls never share a key', (t) => {
  fc.assert(
    fc.property(fc.tuple(bytes, branch, set), fc.tuple(bytes, branch, set), (one, other) => {
      const isSame = one[0].equals(other[0]) && one[1] === other[1] && one[2] === other[2];
      t.is(parseCall(...one).key === parseCall(...other).key, isSame);
    }),
    { numRuns: 500 },
  );
  // What a careless escape would confuse.
  const keys = [
    parseCall('a/b'),
    parseCall('a', 'b'),
    parseCall('a', 'default'),
    parseCall('a', '', 'b'),
    parseCall('a/default'),
    parseCall('a%2Fb'),
    parseCall('a%252Fb'),
    parseCall('a%2fb'),
    parseCall('a/', 'b'),
    parseCall('a', '/b'),
    parseCall('\u00e9'),
    parseCall(Buffer.of(0xe9)),
  ].map(({ key }) => key);
  t.is(new Set(keys).size, keys.length, keys.join(' '));
});

test('a Call-ID that looks like the hash of another is another call', (t) => {
  const long = parseCall('x'.repeat(2000));
  const [id = ''] = long.key.split('/');
  t.not(parseCall(id).key, long.key);
  t.false(isHashed(parseCall(id)));
});

test('the keys of a call in all its sets and branches have one prefix, which no other call has', (t) => {
  fc.assert(
    fc.property(call, call, (one, other) => {
      t.true(one.key.startsWith(keyPrefixOf(one)));
      t.true(inSet(one, 'elsewhere').key.startsWith(keyPrefixOf(one)));
      const isSame = bytesOf(one).equals(bytesOf(other));
      t.is(other.key.startsWith(keyPrefixOf(one)), isSame);
      t.is(keyPrefixOf(other).startsWith(keyPrefixOf(one)), isSame);
    }),
    { numRuns: 300 },
  );
});

test('the same call in another set differs in nothing else', (t) => {
  fc.assert(
    fc.property(bytes, branch, set, set, (id, via, of, other) => {
      t.deepEqual(inSet(parseCall(id, via, of), other), parseCall(id, via, other));
    }),
  );
});

test('a call that names no set means the default one, and says so', (t) => {
  t.like(parseCall('a'), { set: 'default', anySet: true, key: 'a/default' });
  t.like(parseCall('a', '', 'default'), { set: 'default', anySet: false, key: 'a/default' });
});

test('an ordinary Call-ID stands in its key as it is', (t) => {
  t.is(parseCall('a84b4c76e66710@pc33.example.com').key, 'a84b4c76e66710@pc33.example.com/default');
  t.is(parseCall('1-2@[2001:db8::1]', 'z9hG4bK776', 'edge').key, '1-2@[2001:db8::1]/edge/z9hG4bK776');
});

test('a key is visible ASCII of a bounded length, whatever the Call-ID', (t) => {
  const longest = parseCall('x'.repeat(512), '%'.repeat(maxBranchBytes), 'a'.repeat(63));
  t.is(longest.key.length, 1345);
  fc.assert(
    fc.property(call, ({ key }) => {
      t.regex(key, /^[!-~]+$/);
      t.true(key.length <= longest.key.length);
    }),
  );
  const long = parseCall(`begins-readable-${'x'.repeat(maxCallIdBytes - 16)}`);
  t.true(isHashed(long));
  t.true(long.key.startsWith('begins-readable-'));
  t.true(long.key.length < 200, long.key);
});

test('text that is the key of no call names none', (t) => {
  const junk = ['', '/', 'a', 'a/', '/default', 'a/default/', 'a/default/b/c', 'a/Default', 'a%/default'];
  const unescaped = [
    'a%2/default',
    'a%41/default',
    'a%2f/default',
    'a b/default',
    'é/default',
    'a\n/default',
  ];
  const branches = ['a/default/é', 'a/default/%00', 'a/default/b%', `a/default/${'b'.repeat(257)}`];
  const hashes = [`~${'0'.repeat(64)}/default`, 'a~b/default'];
  for (const key of [...junk, ...unescaped, ...branches, ...hashes]) {
    t.is(callFromKey(key), undefined, JSON.stringify(key));
  }
  t.is(callFromKey(`${'a'.repeat(513)}/default`), undefined, 'it would be known by its hash');
  const callId = fc.option(fc.oneof(bytes, text), { nil: undefined });
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        call.map(({ key }) => key),
      ),
      callId,
      (key, id) => {
        const found = callFromKey(key, id);
        t.true(found === undefined || found.key === key);
      },
    ),
    { numRuns: 300 },
  );
});

test('a Call-ID beyond all bounds beside a key names no call, and does not throw', (t) => {
  const { key, callId } = parseCall('x'.repeat(maxCallIdBytes));
  t.is(callFromKey(key, callId)?.callId, callId);
  for (const huge of ['x'.repeat(maxCallIdBytes + 1), 'é'.repeat(maxCallIdBytes), 'x'.repeat(10_000_000)]) {
    t.is(callFromKey(key, huge), undefined);
    t.is(callFromKey(key, Buffer.from(huge)), undefined);
  }
});

test('a Call-ID is 1 to 16384 bytes, whatever they are', (t) => {
  for (const id of ['~'.repeat(maxCallIdBytes), ' ', 'a b', '\0', 'a\n', '\u{1f600}', 'é'.repeat(8192)]) {
    t.is(parseCall(id).callId, id);
  }
  t.is(bytesOf(parseCall(Buffer.alloc(maxCallIdBytes, 0xff))).length, maxCallIdBytes);
  for (const empty of ['', Buffer.alloc(0)]) {
    t.is(
      refusal(() => parseCall(empty)),
      'call_id: is empty; allowed: 1-16384 bytes',
    );
  }
  for (const long of ['~'.repeat(16_385), 'é'.repeat(8193), Buffer.alloc(16_385, 0xff)]) {
    t.regex(
      refusal(() => parseCall(long)),
      /^call_id: .* has 1638[56] bytes; allowed: 1-16384 bytes$/u,
    );
  }
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
  const message = refusal(() => parseCall('\x1b[31m'.repeat(5000)));
  t.true(message.length < 800, message);
  t.false(message.includes('\x1b'), 'control characters are escaped');
  t.true(message.includes('(25000 characters)'));
});
