import assert from 'node:assert/strict';
import test from 'ava';
import fc from 'fast-check';
import {
  type Binding,
  bindingStates,
  maxGeneration,
  maxMoves,
  noticeLimits,
} from '../../../../services/domain/binding.js';
import { type Call, isHashed, maxCallIdBytes, parseCall } from '../../../../services/domain/call.js';
import { InvalidValue } from '../../../../services/etcd/invalid-value.js';
import { bindingCodec } from '../../../../services/registry/codecs/binding.js';

/** Undefined for a value that is invalid, which says why. */
function decode(key: string, bytes: Buffer): Binding | undefined {
  const read = bindingCodec.decode(key, bytes);
  if (!(read instanceof InvalidValue)) {
    return read;
  }
  assert.match(read.reason, /./);
  return undefined;
}

const dnsLabel = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
const time = fc.integer({ min: 0, max: Date.UTC(9999, 0) });
const text = fc.string({ unit: 'grapheme' });
const callId = fc.oneof(
  text.filter((id) => id !== '').map((id) => Buffer.from(id)),
  fc.uint8Array({ minLength: 1, maxLength: 600 }).map((array) => Buffer.from(array)),
  fc
    .tuple(fc.constantFrom(0x41, 0x7e, 0xff), fc.integer({ min: 500, max: maxCallIdBytes }))
    .map(([byte, length]) => Buffer.alloc(length, byte)),
);
const call = fc
  .tuple(callId, fc.constantFrom('', 'z9hG4bK/~%1'), dnsLabel)
  .map(([id, branch, set]) => parseCall(id, branch, set));
const move = fc.record({ atMs: time, from: text, reason: text, by: text });
const binding: fc.Arbitrary<Binding> = fc
  .record({
    call,
    relayId: dnsLabel,
    instance: text,
    generation: fc.integer({ min: 1, max: maxGeneration }),
    requestId: text,
    state: fc.constantFrom(...bindingStates),
    beginning: fc.option(text, { nil: undefined }),
    createdAtMs: time,
    begunAgainAtMs: fc.option(time, { nil: undefined }),
    ttlSeconds: fc.integer({ min: 1, max: 86_400 }),
    expiresAtMs: time,
    moves: fc.array(move, { maxLength: maxMoves }),
    notices: fc.array(fc.string({ maxLength: noticeLimits.length }), { maxLength: noticeLimits.count }),
  })
  .map(({ beginning, begunAgainAtMs, ...value }) => ({
    ...value,
    beginning: beginning ?? value.requestId,
    ...(begunAgainAtMs === undefined ? {} : { begunAgainAtMs }),
  }));

test('a binding is read as it was written', (t) => {
  fc.assert(
    fc.property(binding, (value) => t.deepEqual(decode(value.call.key, bindingCodec.encode(value)), value)),
  );
});

const { key } = parseCall('call@host', 'branch', 'edge');
const good = {
  relay: 'r1',
  instance: 'i',
  state: 'answered',
  generation: 3,
  request: 'q',
  begun: 'b',
  createdAt: '2026-01-01T00:00:00.000Z',
  ttlSeconds: 300,
  expiresAt: '2026-01-01T00:07:30.000Z',
  moves: [{ at: '2026-01-01T00:01:00.000Z', from: 'r2', why: 'its relay is gone', by: 'selection' }],
};
const json = (value: unknown) => Buffer.from(JSON.stringify(value));
const encoded = (value: Binding) => JSON.parse(bindingCodec.encode(value).toString());

test('an operator can read it', (t) => {
  const value = decode(key, json(good)) as Binding;
  t.like(value.call, { callId: 'call@host', branch: 'branch', set: 'edge', anySet: false });
  t.deepEqual(encoded(value), good);
});

test('what goes without saying is not said: beginning, moves, Call-ID', (t) => {
  const { begun, moves, ...short } = good;
  const value = decode(key, json(short)) as Binding;
  t.is(value.beginning, 'q');
  t.deepEqual(value.moves, []);
  t.deepEqual(encoded(value), short);
});

test('a call that is known by its hash has its Call-ID in the value, and is none without it', (t) => {
  for (const id of ['x'.repeat(2000), 'é'.repeat(400), Buffer.alloc(maxCallIdBytes, 0xff)]) {
    const hashed: Call = parseCall(id, '', 'default');
    t.true(isHashed(hashed));
    const value = { ...(decode(key, json(good)) as Binding), call: hashed };
    t.deepEqual(decode(hashed.key, bindingCodec.encode(value)), value);
    t.is(encoded(value).callId, hashed.callId);
    for (const wrong of [undefined, 7, '', 'another', 'x'.repeat(100_000)]) {
      t.is(decode(hashed.key, json({ ...good, callId: wrong })), undefined);
    }
  }
});

test('no more moves than the last eight are read, and none that is junk', (t) => {
  const [one] = good.moves;
  const moves = Array.from({ length: 20 }, (_, i) => ({ ...one, from: `r${i}` }));
  const read = decode(key, json({ ...good, moves }));
  t.deepEqual(
    read?.moves.map(({ from }) => from),
    moves.slice(-maxMoves).map(({ from }) => from),
  );
  for (const junk of [null, 7, 'a', {}, [], { ...one, at: 'noon' }, { ...one, by: 7 }, { from: 'r2' }]) {
    t.deepEqual(decode(key, json({ ...good, moves: [junk, one] }))?.moves.length, 1);
  }
  for (const junk of [7, 'a', {}, null]) {
    t.deepEqual(decode(key, json({ ...good, moves: junk }))?.moves, []);
  }
});

test('what another version adds is ignored', (t) => {
  t.deepEqual(decode(key, json({ ...good, future: 1 })), decode(key, json(good)));
});

test('junk is no binding, and never throws', (t) => {
  const wrong: Record<Exclude<keyof typeof good, 'moves'>, readonly unknown[]> = {
    relay: ['', 'A', 7, null, undefined],
    instance: [7, null, undefined],
    state: ['', 'Setup', 'toString', 0, null, undefined],
    generation: [0, -1, 1.5, '1', 2 ** 53 - 1, null, undefined],
    request: [7, null, undefined],
    begun: [7, null, {}],
    createdAt: ['', 'yesterday', 0, null, undefined],
    ttlSeconds: [0, -1, 1.5, 86_401, '300', null, undefined],
    expiresAt: ['', 'tomorrow', 0, null, undefined],
  };
  for (const [field, values] of Object.entries(wrong)) {
    for (const value of values) {
      t.is(decode(key, json({ ...good, [field]: value })), undefined, `${field}: ${JSON.stringify(value)}`);
    }
  }
  for (const junk of ['', 'a', 'a/', 'a/Default', 'a%zz/default', 'a/b/c/d']) {
    t.is(decode(junk, json(good)), undefined, junk);
  }
  for (const value of ['', '{', 'null', '0', '"a"', '[]', '{}', '\0']) {
    t.is(decode(key, Buffer.from(value)), undefined, value);
  }
  const bytes = fc.uint8Array({ maxLength: 64 }).map((array) => Buffer.from(array));
  fc.assert(fc.property(bytes, (value) => t.is(decode(key, value), undefined)));
  fc.assert(fc.property(fc.jsonValue(), (value) => t.is(decode(key, json(value)), undefined)));
});
