import test from 'ava';
import fc from 'fast-check';
import type { Binding } from '../../../services/domain/binding.js';
import { parseCall } from '../../../services/domain/call.js';
import { decodeBinding, encodeBinding } from '../../../services/registry/binding-value.js';

const call = parseCall('call@host', 'branch');
const dnsLabel = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
const time = fc.integer({ min: 0, max: Date.UTC(9999, 0) });
const binding: fc.Arbitrary<Binding> = fc.record({
  call: fc.constant(call),
  set: dnsLabel,
  relayId: dnsLabel,
  instance: fc.string({ unit: 'grapheme' }),
  generation: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  requestId: fc.string({ unit: 'grapheme' }),
  createdAtMs: time,
  ttlSeconds: fc.integer({ min: 1, max: 86_400 }),
  expiresAtMs: time,
  released: fc.boolean(),
});

test('a binding is read as it was written', (t) => {
  fc.assert(fc.property(binding, (value) => t.deepEqual(decodeBinding(call, encodeBinding(value)), value)));
});

const good = {
  relay: 'r1',
  set: 'default',
  instance: 'i',
  generation: 1,
  request: 'q',
  createdAt: '2026-01-01T00:00:00.000Z',
  ttlSeconds: 300,
  expiresAt: '2026-01-01T00:07:30.000Z',
};
const json = (value: unknown) => Buffer.from(JSON.stringify(value));

test('an operator can read it', (t) => {
  const value = decodeBinding(call, json(good)) as Binding;
  t.deepEqual(JSON.parse(encodeBinding(value).toString()), good);
  t.deepEqual(JSON.parse(encodeBinding({ ...value, released: true }).toString()), {
    ...good,
    released: true,
  });
});

test('what another version adds is ignored', (t) => {
  t.deepEqual(decodeBinding(call, json({ ...good, future: 1 })), decodeBinding(call, json(good)));
});

test('junk is no binding, and never throws', (t) => {
  const wrong: Record<keyof typeof good, readonly unknown[]> = {
    relay: ['', 'A', 7, null],
    set: ['', 'a/b', null],
    instance: [7, null],
    generation: [0, -1, 1.5, '1', 2 ** 53, null],
    request: [7, null],
    createdAt: ['', 'yesterday', 0, null],
    ttlSeconds: [0, -1, 1.5, 86_401, '300', null],
    expiresAt: ['', 'tomorrow', 0, null],
  };
  for (const [field, values] of Object.entries(wrong)) {
    for (const value of [...values, undefined]) {
      t.is(
        decodeBinding(call, json({ ...good, [field]: value })),
        undefined,
        `${field}: ${JSON.stringify(value)}`,
      );
    }
  }
  for (const text of ['', '{', 'null', '0', '"a"', '[]', '{}', '\0']) {
    t.is(decodeBinding(call, Buffer.from(text)), undefined, text);
  }
  const bytes = fc.uint8Array({ maxLength: 64 }).map((array) => Buffer.from(array));
  fc.assert(fc.property(bytes, (value) => t.is(decodeBinding(call, value), undefined)));
  fc.assert(fc.property(fc.jsonValue(), (value) => t.is(decodeBinding(call, json(value)), undefined)));
});
