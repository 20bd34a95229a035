import test from 'ava';
import fc from 'fast-check';
import {
  LookupResponse,
  SelectResponse,
  SelectStreamResponse,
} from '../../../proto/generated/holdfast/v1/selection.js';
import { bindingStates, maxMoves } from '../../../services/domain/binding.js';
import { maxCallIdBytes, parseCall } from '../../../services/domain/call.js';
import type { RegisteredRelay } from '../../../services/domain/relay.js';
import { AnswerBytes } from '../../../services/grpc/answer-bytes.js';
import { bindingMessage, freshnesses, origins } from '../../../services/grpc/replies.js';
import type { Answer } from '../../../services/selection/requests.js';
import { aBinding, aRelay } from '../../support/registry.js';

const visible = (maxLength: number) =>
  fc.string({
    unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
    minLength: 1,
    maxLength,
  });
const timeMs = fc.oneof(fc.integer({ min: 0, max: 4e12 }), fc.double({ min: 0, max: 4e12, noNaN: true }));

const callId = fc.oneof(
  { weight: 3, arbitrary: visible(1024) },
  fc.string({ unit: 'binary', minLength: 1 }),
  fc.string({ unit: 'grapheme', minLength: 1 }),
  fc.uint8Array({ minLength: 1, maxLength: 64 }).map((array) => Buffer.from(array)),
  fc.integer({ min: 500, max: maxCallIdBytes }).map((length) => 'x'.repeat(length)),
);
const move = fc.record({
  atMs: fc.integer({ min: 0, max: 4e12 }),
  from: visible(63),
  reason: fc.string({ unit: 'grapheme', maxLength: 64 }),
  by: fc.string({ unit: 'grapheme', maxLength: 64 }),
});

const registered: fc.Arbitrary<RegisteredRelay> = fc
  .record({
    id: fc.constantFrom('r1', 'a-relay-of-a-longer-name'),
    instance: visible(64),
    version: fc.oneof(fc.string(), fc.string({ minLength: 200, maxLength: 20_000 })),
    zone: fc.string({ maxLength: 63 }),
    labels: fc.dictionary(visible(63), fc.string({ maxLength: 255 }), { maxKeys: 16 }),
    state: fc.constantFrom('active', 'draining'),
    reason: fc.string({ maxLength: 256 }),
  })
  .map(({ reason, ...relay }) => ({
    relay: aRelay({ ...relay, state: relay.state as 'active' | 'draining' }),
    revision: 7,
    intent: reason === '' ? undefined : { state: 'active', reason, actor: 'jo', atMs: 1 },
  }));

const answers: fc.Arbitrary<Answer> = fc
  .record({
    callId,
    branch: fc.oneof(fc.constant(''), visible(256)),
    relay: fc.option(registered, { nil: undefined }),
    generation: fc.oneof(fc.nat({ max: 300 }), fc.maxSafeNat()),
    createdAtMs: timeMs,
    expiresAtMs: timeMs,
    beginning: fc.oneof({ weight: 3, arbitrary: visible(64) }, fc.string()),
    state: fc.constantFrom(...bindingStates),
    moves: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, fc.array(move, { maxLength: maxMoves })),
    origin: fc.constantFrom('new', 'existing', 'moved'),
    freshness: fc.constantFrom('fresh', 'stale', 'provisional'),
  })
  .map(({ callId, branch, relay, origin, freshness, ...rest }) => {
    const instance = relay?.relay.instance ?? 'gone';
    const binding = aBinding(parseCall(callId, branch), { ...rest, instance });
    return {
      binding,
      relay,
      origin: origin as Answer['origin'],
      freshness: freshness as Answer['freshness'],
    };
  });

const message = ({ binding, relay, origin, freshness }: Answer) => ({
  binding: bindingMessage(binding, relay),
  origin: origins[origin],
  freshness: freshnesses[freshness],
});

test('answers are, byte for byte, what the generated code makes of them', (t) => {
  const bytes = new AnswerBytes();
  fc.assert(
    fc.property(answers, visible(64), (answer, requestId) => {
      const value = message(answer);
      const expected = Buffer.from(SelectResponse.encode(value).finish());
      t.deepEqual(bytes.answer(answer), expected);
      t.deepEqual(bytes.answer(answer), expected, 'with the relay remembered');
      t.deepEqual(
        Buffer.from(LookupResponse.encode(value).finish()),
        expected,
        'a Lookup has the same bytes',
      );
      const streamed = { requestId, result: { $case: 'response', value } } as const;
      t.deepEqual(
        bytes.streamed(requestId, answer),
        Buffer.from(SelectStreamResponse.encode(streamed).finish()),
      );
    }),
    { numRuns: 500 },
  );
});

test('a relay that registers again is encoded again', (t) => {
  const bytes = new AnswerBytes();
  const [first] = fc.sample(
    answers.filter(({ relay }) => relay !== undefined),
    1,
  );
  if (!first?.relay) {
    return t.fail('no sample');
  }
  bytes.answer(first);
  const next = {
    ...first,
    relay: { ...first.relay, relay: { ...first.relay.relay, controlUrl: 'udp:elsewhere:1' } },
  };
  t.is(SelectResponse.decode(bytes.answer(next)).binding?.relay?.controlUrl, 'udp:elsewhere:1');
});
