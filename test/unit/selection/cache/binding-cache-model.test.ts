import test from 'ava';
import fc from 'fast-check';
import type { StoredBinding } from '../../../../services/domain/binding.js';
import { parseCall } from '../../../../services/domain/call.js';
import { BindingCache } from '../../../../services/selection/cache/binding-cache.js';

const trustMs = 100;

/** What the cache is to do, in the fewest words: a map of objects, of which the one written longest ago goes first. */
class Model {
  readonly entries = new Map<string, { stored: StoredBinding; verifiedAtMs: number; epoch: number }>();
  readonly #moves = new Map<string, number>();
  #epoch = 0;

  constructor(private readonly capacity: number) {}

  get size(): number {
    return this.entries.size;
  }

  fresh(callKey: string, nowMs: number): StoredBinding | undefined {
    const entry = this.entries.get(callKey);
    const isFresh = entry?.epoch === this.#epoch && nowMs - entry.verifiedAtMs < trustMs;
    return isFresh ? entry.stored : undefined;
  }

  lastKnown(callKey: string, wallMs: number): StoredBinding | undefined {
    const stored = this.entries.get(callKey)?.stored;
    return stored && stored.binding.expiresAtMs > wallMs ? stored : undefined;
  }

  remember(stored: StoredBinding, verifiedAtMs: number): void {
    const { key } = stored.binding.call;
    const known = this.entries.get(key);
    if (stored.revision < (this.#moves.get(key) ?? 0)) {
      return;
    }
    if (known?.epoch === this.#epoch && known.stored.revision > stored.revision) {
      return;
    }
    this.entries.delete(key);
    this.entries.set(key, { stored, verifiedAtMs, epoch: this.#epoch });
    const [oldest] = this.entries.keys();
    if (this.size > this.capacity && oldest !== undefined) {
      this.entries.delete(oldest);
    }
  }

  forget(callKey: string): void {
    this.entries.delete(callKey);
  }

  hearMove(callKey: string, revision: number): void {
    this.#moves.set(callKey, revision);
    if ((this.entries.get(callKey)?.stored.revision ?? revision) < revision) {
      this.forget(callKey);
    }
  }

  forgetMove(callKey: string): void {
    this.#moves.delete(callKey);
  }

  invalidateAll(): void {
    this.#epoch++;
  }
}

// Long Call-IDs, so that a few hundred bindings are many buffers; some are escaped in keys.
const calls = Array.from({ length: 200 }, (_, i) => {
  const callId = `${i}${i % 3 === 0 ? '%/' : ''}${'x'.repeat((i * 37) % 1000)}`;
  return parseCall(callId, i % 5 === 0 ? `z9hG4bK/${i}` : '');
});
const aCall = fc.constantFrom(...calls);
const aMoment = fc.integer({ min: 0, max: 300 });
const aRevision = fc.oneof(fc.integer({ min: 1, max: 60 }), fc.maxSafeNat());
const aStored = fc
  .record({
    call: aCall,
    set: fc.constantFrom('default', 'eu'),
    relayId: fc.constantFrom('r1', 'r2', 'r3'),
    instance: fc.string({ maxLength: 3 }),
    generation: fc.oneof(fc.constant(1), fc.maxSafeNat()),
    requestId: fc.oneof(fc.string({ maxLength: 64 }), fc.string({ unit: 'binary', maxLength: 20 })),
    createdAtMs: fc.integer({ min: -8.64e15, max: 8.64e15 }),
    ttlSeconds: fc.integer({ min: 1, max: 86_400 }),
    expiresAtMs: fc.oneof(aMoment, fc.integer({ min: -8.64e15, max: 8.64e15 })),
    released: fc.boolean(),
  })
  .chain((binding) => aRevision.map((revision): StoredBinding => ({ binding, revision })));

type Action = (cache: BindingCache | Model) => unknown;
const anAction: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.tuple(aStored, aMoment).map(
      ([stored, atMs]): Action =>
        (cache) =>
          cache.remember(stored, atMs),
    ),
  },
  {
    weight: 2,
    arbitrary: aCall.map(
      ({ key }): Action =>
        (cache) =>
          cache.forget(key),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(aCall, aRevision).map(
      ([{ key }, at]): Action =>
        (cache) =>
          cache.hearMove(key, at),
    ),
  },
  {
    weight: 2,
    arbitrary: aCall.map(
      ({ key }): Action =>
        (cache) =>
          cache.forgetMove(key),
    ),
  },
  { weight: 1, arbitrary: fc.constant<Action>((cache) => cache.invalidateAll()) },
);

test('it answers as a map of objects would', (t) => {
  let evicted = 0;
  fc.assert(
    fc.property(
      fc.constantFrom(0, 1, 20, 150),
      fc.array(anAction, { size: 'max', minLength: 200, maxLength: 1500 }),
      aMoment,
      (capacity, actions, nowMs) => {
        const cache = new BindingCache(capacity, trustMs);
        const model = new Model(capacity);
        for (const act of actions) {
          act(cache);
          act(model);
          if (cache.size !== model.size) {
            t.fail(`${cache.size} entries, not ${model.size}`);
          }
          if (model.size === capacity) {
            evicted++;
          }
        }
        for (const { key } of calls) {
          t.deepEqual(cache.fresh(key, nowMs), model.fresh(key, nowMs));
          t.deepEqual(cache.lastKnown(key, nowMs), model.lastKnown(key, nowMs));
        }
      },
    ),
    { numRuns: 60 },
  );
  t.true(evicted > 0, 'some runs fill the cache');
});

test('a binding too long for it is forgotten, not cut short', (t) => {
  const cache = new BindingCache(10, trustMs);
  const stored = (requestId: string, revision: number): StoredBinding => ({
    revision,
    binding: {
      call: parseCall('a'),
      set: 'default',
      relayId: 'r1',
      instance: 'i',
      generation: 1,
      requestId,
      createdAtMs: 0,
      ttlSeconds: 10,
      expiresAtMs: 5000,
      released: false,
    },
  });
  const longest = stored('q'.repeat(1024), 1);
  cache.remember(longest, 0);
  t.deepEqual(cache.fresh('a', 0), longest);
  cache.remember(stored('q'.repeat(1025), 2), 0);
  t.is(cache.lastKnown('a', 0), undefined);
  cache.remember(stored('…'.repeat(513), 3), 0);
  t.is(cache.size, 0);
});
