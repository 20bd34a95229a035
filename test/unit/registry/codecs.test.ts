import test from 'ava';
import fc from 'fast-check';
import {
  type Intent,
  type Load,
  type Relay,
  relayKinds,
  relayStates,
} from '../../../services/domain/relay.js';
import { decodeMove } from '../../../services/registry/binding-store.js';
import {
  decodeInstance,
  decodeIntent,
  decodeLoad,
  decodeRelay,
  encodeInstance,
  encodeIntent,
  encodeLoad,
  encodeRelay,
  type InstanceRecord,
} from '../../../services/registry/codecs.js';
import { aRelay } from '../../support/registry.js';

const dnsLabel = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
const text = (limit: number) =>
  fc.string({ unit: 'grapheme', maxLength: limit / 4 }).filter((s) => s.length <= limit);
const time = fc.integer({ min: 0, max: Date.UTC(9999, 0) });
// A relay node refuses the one name that a JavaScript object cannot hold like others.
const name = fc.stringMatching(/^[\w.-]{1,63}$/).filter((each) => each !== '__proto__');
const map = (limit: number) => fc.dictionary(name, text(255), { maxKeys: limit, noNullPrototype: true });
const relay: fc.Arbitrary<Relay> = fc.record({
  id: dnsLabel,
  set: dnsLabel,
  kind: fc.constantFrom(...relayKinds),
  instance: fc.stringMatching(/^[0-9a-f]{1,64}$/),
  controlUrl: fc.stringMatching(/^udp:[a-z0-9.]{1,50}:\d{1,5}$/),
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
const intent: fc.Arbitrary<Intent> = fc.record(
  {
    state: fc.constantFrom(...relayStates),
    weight: fc.integer({ min: 0, max: 10_000 }),
    reason: text(256),
    actor: text(64),
    atMs: time,
  },
  { requiredKeys: ['state', 'reason', 'actor', 'atMs'], noNullPrototype: true },
);
const load: fc.Arbitrary<Load> = fc.record({
  calls: fc.nat(),
  cpu: fc.double({ min: 0, max: 64, noNaN: true }).map((value) => value + 0),
  packetRate: fc.nat(),
  atMs: time,
});
const life: fc.Arbitrary<InstanceRecord> = fc.record({
  instance: fc.stringMatching(/^[0-9a-f]{16}$/),
  startedAtMs: time,
});

test('a relay is read as it was written', (t) => {
  fc.assert(
    fc.property(relay, (value) => {
      t.deepEqual(decodeRelay(`${value.set}/${value.id}`, encodeRelay(value)), value);
    }),
  );
});

test('so are intents, loads and lives', (t) => {
  fc.assert(fc.property(intent, (value) => t.deepEqual(decodeIntent('', encodeIntent(value)), value)));
  fc.assert(fc.property(load, (value) => t.deepEqual(decodeLoad('', encodeLoad(value)), value)));
  fc.assert(fc.property(life, (value) => t.deepEqual(decodeInstance(encodeInstance(value)), value)));
});

test('a registration under another relay’s key is junk', (t) => {
  const value = encodeRelay(aRelay({ id: 'a', set: 's' }));
  t.truthy(decodeRelay('s/a', value));
  for (const key of ['s/b', 't/a', 'a', '', 's/a/', 's/a/x']) {
    t.is(decodeRelay(key, value), undefined, key);
  }
});

test('what another version adds is ignored, and what it leaves out has a default', (t) => {
  const known = JSON.parse(encodeRelay(aRelay()).toString());
  const { zone, labels, features, version, ...least } = { ...known, future: [1] };
  t.deepEqual(decodeRelay('default/r1', Buffer.from(JSON.stringify(least))), aRelay({ version: '' }));
  t.deepEqual(decodeIntent('', Buffer.from('{"state":"draining","at":"2026-01-01T00:00:00Z"}')), {
    state: 'draining',
    reason: '',
    actor: '',
    atMs: Date.UTC(2026, 0),
  });
});

type Decoder = (bytes: Buffer) => unknown;
const decoders: Record<string, { decode: Decoder; good: object }> = {
  relay: {
    decode: (bytes) => decodeRelay('default/r1', bytes),
    good: JSON.parse(encodeRelay(aRelay()).toString()),
  },
  intent: {
    decode: (bytes) => decodeIntent('', bytes),
    good: { state: 'active', weight: 1, reason: '', by: '', at: '2026-01-01T00:00:00.000Z' },
  },
  load: {
    decode: (bytes) => decodeLoad('', bytes),
    good: { calls: 1, cpu: 0.5, packetRate: 1, at: '2026-01-01T00:00:00.000Z' },
  },
  life: { decode: decodeInstance, good: { instance: 'a', startedAt: '2026-01-01T00:00:00.000Z' } },
  move: { decode: (bytes) => decodeMove('', bytes), good: { generation: 2, relay: 'r1' } },
};

const wrong: Record<string, readonly unknown[]> = {
  id: ['', 'A', 7, null],
  set: ['', 'a/b', null],
  kind: ['kamailio', '', null],
  instance: ['', 'x'.repeat(65), 7, null],
  controlUrl: ['', 'x'.repeat(256), 7, null],
  media: [null, [], 'a', { a: 1 }, { '': 'x' }, { a: 'x'.repeat(256) }],
  labels: [null, { a: null }, Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`l${i}`, '']))],
  features: [null, 'ice', ['A'], [7], Array.from({ length: 33 }, (_, i) => `f${i}`)],
  state: ['gone', '', 1, null],
  weight: [-1, 10_001, 1.5, '1', null],
  capacity: [-1, 1_000_001, 1.5, '1', null],
  zone: ['z'.repeat(64), 1, null],
  version: ['v'.repeat(256), 1],
  startedAt: ['', 'yesterday', 0, null, '2026-13-01T00:00:00Z'],
  at: ['', 'now', 0, null],
  reason: ['r'.repeat(257), 1],
  by: ['b'.repeat(65), 1],
  calls: [-1, 1.5, '1', null, 1e300],
  cpu: [-1, '1', null],
  packetRate: [-1, '1', null],
  generation: ['2', 1.5, null, 2 ** 53],
};
const mayLack = ['zone', 'labels', 'features', 'version', 'reason', 'by', 'cpu', 'packetRate', 'relay'];

for (const [name, { decode, good }] of Object.entries(decoders)) {
  test(`junk of every kind is no ${name}, and never throws`, (t) => {
    const json = (value: unknown) => Buffer.from(JSON.stringify(value));
    t.not(decode(json(good)), undefined);
    for (const [field, values] of Object.entries(wrong)) {
      for (const value of values) {
        if (field in good) {
          t.is(decode(json({ ...good, [field]: value })), undefined, `${field}: ${JSON.stringify(value)}`);
        }
      }
    }
    for (const field of Object.keys(good).filter((each) => !mayLack.includes(each) && each !== 'weight')) {
      t.is(decode(json({ ...good, [field]: undefined })), undefined, `without ${field}`);
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
      t.is(decode(Buffer.from(text)), undefined, text);
    }
    const bytes = fc.uint8Array({ maxLength: 64 }).map((array) => Buffer.from(array));
    fc.assert(fc.property(bytes, (value) => t.is(decode(value), undefined)));
    fc.assert(fc.property(fc.jsonValue(), (value) => t.is(decode(json(value)), undefined)));
  });
}

test('names from a stranger reach no prototype', (t) => {
  const text = encodeRelay(aRelay())
    .toString()
    .replace('"labels":{}', '"labels":{"__proto__":"x","constructor":"y"}');
  const labels = decodeRelay('default/r1', Buffer.from(text))?.labels;
  t.is(Object.getPrototypeOf(labels ?? null), Object.prototype);
  t.is(({} as Record<string, unknown>)['x'], undefined);
});
