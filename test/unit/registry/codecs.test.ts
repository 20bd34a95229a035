import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { maxGeneration } from '../../../services/domain/binding.js';
import {
  departures,
  type Intent,
  type Load,
  type Relay,
  relayKinds,
  relayStates,
} from '../../../services/domain/relay.js';
import { InvalidValue } from '../../../services/etcd/invalid-value.js';
import { type Codec, maxValueBytes } from '../../../services/registry/codecs/codec.js';
import { type InstanceRecord, instanceCodec } from '../../../services/registry/codecs/instance.js';
import { intentCodec } from '../../../services/registry/codecs/intent.js';
import { loadCodec } from '../../../services/registry/codecs/load.js';
import { type MoveRecord, moveCodec } from '../../../services/registry/codecs/move.js';
import { relayCodec } from '../../../services/registry/codecs/relay.js';
import { aRelay, valid } from '../../support/registry.js';

const dnsLabel = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
const text = (limit: number) =>
  fc.string({ unit: 'grapheme', maxLength: limit / 4 }).filter((s) => s.length <= limit);
const time = fc.integer({ min: 0, max: Date.UTC(9999, 0) });
// A relay node refuses the one name that a JavaScript object cannot hold like others.
const name = fc.stringMatching(/^[\w.-]{1,63}$/).filter((each) => each !== '__proto__');
const map = (limit: number) => fc.dictionary(name, text(255), { maxKeys: limit, noNullPrototype: true });
const controlUrl = fc.stringMatching(/^udp:[a-z0-9.]{1,50}:\d{1,5}$/);
const ofOneProtocol: fc.Arbitrary<Relay> = fc.record({
  id: dnsLabel,
  set: dnsLabel,
  kind: fc.constantFrom(...relayKinds),
  instance: fc.stringMatching(/^[0-9a-f]{1,64}$/),
  controlUrl,
  mediaAddresses: map(16),
  state: fc.constantFrom('active' as const, 'draining' as const),
  weight: fc.integer({ min: 0, max: 10_000 }),
  capacity: fc.integer({ min: 0, max: 1_000_000 }),
  zone: text(63),
  labels: map(16),
  features: fc.array(dnsLabel, { maxLength: 32 }),
  version: text(255),
  startedAtMs: time,
});
const relay = fc.oneof(
  ofOneProtocol,
  fc.tuple(ofOneProtocol, controlUrl).map(([each, rtpproxyUrl]): Relay => ({ ...each, rtpproxyUrl })),
);
const intent: fc.Arbitrary<Intent> = fc.record(
  {
    state: fc.constantFrom(...relayStates),
    weight: fc.integer({ min: 0, max: 10_000 }),
    reason: text(256),
    actor: text(253),
    atMs: time,
  },
  { requiredKeys: ['state', 'reason', 'actor', 'atMs'], noNullPrototype: true },
);
const load: fc.Arbitrary<Load> = fc.record(
  {
    calls: fc.nat({ max: 1_000_000_000 }),
    cpu: fc.double({ min: 0, max: 64, noNaN: true }).map((value) => value + 0),
    packetRate: fc.nat({ max: 1_000_000_000 }),
    departure: fc.constantFrom(...departures),
    exit: text(63),
    atMs: time,
  },
  { requiredKeys: ['calls', 'cpu', 'packetRate', 'atMs'], noNullPrototype: true },
);
const instance: fc.Arbitrary<InstanceRecord> = fc.record({
  instance: fc.stringMatching(/^[0-9a-f]{16}$/),
  start: fc.record({ wallMs: time, sinceBootMs: fc.maxSafeInteger(), bootId: fc.uuid() }),
  node: fc.string({ maxLength: 255 }),
});
const move: fc.Arbitrary<MoveRecord> = fc.record({
  generation: fc.integer({ min: 1, max: maxGeneration }),
  relayId: dnsLabel,
});

function isReadAsWritten<T>(
  t: ExecutionContext,
  codec: Codec<T>,
  records: fc.Arbitrary<T>,
  keyOf: (record: T) => string = () => '',
): void {
  const property = fc.property(records, (record) => {
    t.deepEqual(codec.decode(keyOf(record), codec.encode(record)), record);
  });
  fc.assert(property);
}

test('records are read as they were written', (t) => {
  isReadAsWritten(t, relayCodec, relay, ({ set, id }) => `${set}/${id}`);
  isReadAsWritten(t, intentCodec, intent);
  isReadAsWritten(t, loadCodec, load);
  isReadAsWritten(t, instanceCodec, instance);
  isReadAsWritten(t, moveCodec, move);
});

test('a registration under another relay’s key is invalid', (t) => {
  const value = relayCodec.encode(aRelay({ id: 'a', set: 's' }));
  t.false(relayCodec.decode('s/a', value) instanceof InvalidValue);
  for (const key of ['s/b', 't/a', 'a', '', 's/a/', 's/a/x']) {
    t.deepEqual(relayCodec.decode(key, value), new InvalidValue('it is the registration of s/a'), key);
  }
});

test('what another version adds is ignored, and what it leaves out has a default', (t) => {
  const known = JSON.parse(relayCodec.encode(aRelay()).toString());
  const { zone, labels, features, version, ...least } = { ...known, future: [1] };
  t.deepEqual(relayCodec.decode('default/r1', Buffer.from(JSON.stringify(least))), aRelay({ version: '' }));
  t.deepEqual(intentCodec.decode('', Buffer.from('{"state":"draining","at":"2026-01-01T00:00:00Z"}')), {
    state: 'draining',
    reason: '',
    actor: '',
    atMs: Date.UTC(2026, 0),
  });
});

test('what cannot be read is not written, and the error names the field', (t) => {
  const report = { calls: 1, cpu: 0, packetRate: 0, atMs: 0 };
  const refused: readonly (readonly [() => Buffer, RegExp])[] = [
    [() => loadCodec.encode({ ...report, calls: 1e15 }), /^calls: .*1000000000/],
    [() => loadCodec.encode({ ...report, packetRate: Number.NaN }), /^packetRate: .*NaN/],
    [() => loadCodec.encode({ ...report, atMs: Number.POSITIVE_INFINITY }), /^at: /],
    [() => relayCodec.encode(aRelay({ id: 'A' })), /^id: not a DNS label$/],
    [() => relayCodec.encode(aRelay({ zone: 'z'.repeat(64) })), /^zone: .*63/],
    [() => moveCodec.encode({ generation: 0, relayId: 'r1' }), /^generation: /],
  ];
  for (const [encode, message] of refused) {
    t.throws(encode, { instanceOf: RangeError, message });
  }
});

test('a value says what is wrong with it', (t) => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['{', /^not JSON$/],
    ['[]', /^value: /],
    ['{"calls":1000000001,"at":"2026-01-01T00:00:00Z"}', /^calls: .*1000000000/],
    ['{"calls":1,"at":"tomorrow"}', /^at: /],
    [`"${'x'.repeat(maxValueBytes)}"`, /^\d+ bytes; at most \d+$/],
  ];
  for (const [text, reason] of cases) {
    const decoded = loadCodec.decode('', Buffer.from(text));
    t.regex(decoded instanceof InvalidValue ? decoded.reason : 'valid', reason);
  }
});

test('the largest valid relay is within the limit of a value', (t) => {
  const largest = Object.fromEntries(
    Array.from({ length: 16 }, (_, i) => [`${i}`.padEnd(63, '\0'), '\0'.repeat(255)]),
  );
  const record = aRelay({ labels: largest, mediaAddresses: largest, version: '\0'.repeat(255) });
  t.deepEqual(relayCodec.decode('default/r1', relayCodec.encode(record)), record);
});

type Decoder = (bytes: Buffer) => unknown;
const decoderOf =
  <T>(codec: Codec<T>, key = ''): Decoder =>
  (bytes) =>
    codec.decode(key, bytes);
const decoders: Record<string, { decode: Decoder; good: object }> = {
  relay: {
    decode: decoderOf(relayCodec, 'default/r1'),
    good: JSON.parse(relayCodec.encode(aRelay()).toString()),
  },
  intent: {
    decode: decoderOf(intentCodec),
    good: { state: 'active', weight: 1, reason: '', by: '', at: '2026-01-01T00:00:00.000Z' },
  },
  load: {
    decode: decoderOf(loadCodec),
    good: { calls: 1, cpu: 0.5, packetRate: 1, at: '2026-01-01T00:00:00.000Z' },
  },
  instance: {
    decode: decoderOf(instanceCodec),
    good: { instance: 'a', startedAt: '2026-01-01T00:00:00.000Z', sinceBootMs: 1, bootId: 'b' },
  },
  move: { decode: decoderOf(moveCodec), good: { generation: 2, relay: 'r1' } },
};

const wrong: Record<string, readonly unknown[]> = {
  id: ['', 'A', 7, null],
  set: ['', 'a/b', null],
  kind: ['kamailio', '', null],
  instance: ['', 'x'.repeat(65), 7, null],
  controlUrl: ['', 'x'.repeat(256), 7, null],
  rtpproxyUrl: ['', 'x'.repeat(256), 7, null],
  media: [null, [], 'a', { a: 1 }, { '': 'x' }, { a: 'x'.repeat(256) }],
  labels: [null, { a: null }, Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`l${i}`, '']))],
  features: [null, 'ice', ['A'], [7], Array.from({ length: 65 }, (_, i) => `f${i}`)],
  state: ['gone', '', 1, null],
  weight: [-1, 10_001, 1.5, '1', null],
  capacity: [-1, 1_000_001, 1.5, '1', null],
  zone: ['z'.repeat(64), 1, null],
  version: ['v'.repeat(256), 1],
  startedAt: ['', 'yesterday', 0, null, '2026-13-01T00:00:00Z'],
  at: ['', 'now', 0, null],
  reason: ['r'.repeat(257), 1],
  by: ['b'.repeat(254), 1],
  calls: [-1, 1.5, '1', null, 1_000_000_001, 1e15, 1e300],
  cpu: [-1, '1', null, 1001],
  packetRate: [-1, '1', null, 1e300],
  generation: ['2', 0, 1.5, null, 2 ** 53 - 1],
  relay: ['', 'A', 7, null],
  sinceBootMs: ['1', 1.5, null, 2 ** 53],
  bootId: ['b'.repeat(65), 7, null],
};
const mayLack = ['rtpproxyUrl', 'zone', 'labels', 'features', 'version', 'reason', 'by', 'cpu', 'packetRate'];

for (const [name, { decode, good }] of Object.entries(decoders)) {
  test(`junk of every kind is no ${name}, and never throws`, (t) => {
    const json = (value: unknown) => Buffer.from(JSON.stringify(value));
    const isInvalid = (bytes: Buffer) => decode(bytes) instanceof InvalidValue;
    t.false(isInvalid(json(good)));
    for (const [field, values] of Object.entries(wrong)) {
      for (const value of values) {
        if (field in good) {
          t.true(isInvalid(json({ ...good, [field]: value })), `${field}: ${JSON.stringify(value)}`);
        }
      }
    }
    for (const field of Object.keys(good).filter((each) => !mayLack.includes(each) && each !== 'weight')) {
      t.true(isInvalid(json({ ...good, [field]: undefined })), `without ${field}`);
    }
    for (const text of [
      '',
      ' ',
      '{',
      'null',
      'true',
      '0',
      '"a"',
      '[]',
      '{}',
      '[{}]',
      '\0',
      '{"a":1}x',
      'NaN',
    ]) {
      t.true(isInvalid(Buffer.from(text)), text);
    }
    const bytes = fc.uint8Array({ maxLength: 64 }).map((array) => Buffer.from(array));
    fc.assert(fc.property(bytes, (value) => t.true(isInvalid(value))));
    fc.assert(fc.property(fc.jsonValue(), (value) => t.true(isInvalid(json(value)))));
  });
}

test('names from a stranger reach no prototype', (t) => {
  const text = relayCodec
    .encode(aRelay())
    .toString()
    .replace('"labels":{}', '"labels":{"__proto__":"x","constructor":"y"}');
  const labels = valid(relayCodec.decode('default/r1', Buffer.from(text)))?.labels;
  t.is(Object.getPrototypeOf(labels ?? null), Object.prototype);
  t.is(({} as Record<string, unknown>)['x'], undefined);
});
