import test from 'ava';
import fc from 'fast-check';
import {
  type Binding,
  bindingStates,
  leaseSeconds,
  maxMoves,
  type StoredBinding,
} from '../../../../services/domain/binding.js';
import { type Call, parseCall } from '../../../../services/domain/call.js';
import { BindingCache, type HistoryLoss } from '../../../../services/selection/cache/binding-cache.js';
import type { HeardMove } from '../../../../services/selection/cache/move-memory.js';
import { LeaseClock } from '../../../../services/selection/outage/lease-clock.js';
import { ManualClock } from '../../../support/clock.js';
import { aBinding } from '../../../support/registry.js';

const trustMs = 100;

interface Entry {
  readonly stored: StoredBinding;
  readonly verifiedAtMs: number;
  readonly deadlineMs: number;
  readonly epoch: number;
  readonly history: number;
}

/** What the cache is to do, in the fewest words: a map of objects, of which the one written longest ago goes first. */
class Model {
  readonly entries = new Map<string, Entry>();
  readonly #moves = new Map<string, HeardMove & { history: number }>();
  #epoch = 0;
  #history = 0;
  #replacedHistory = 0;
  #lostForMs = 0;

  constructor(
    private readonly clock: ManualClock,
    private readonly leaseClock: LeaseClock,
    private readonly capacity: number,
  ) {}

  get size(): number {
    return this.entries.size;
  }

  fresh({ key }: Call): StoredBinding | undefined {
    const entry = this.entries.get(key);
    const isFresh = entry?.epoch === this.#epoch && this.clock.monotonicMs() - entry.verifiedAtMs < trustMs;
    return isFresh ? this.#now(entry) : undefined;
  }

  lastKnown({ key }: Call): StoredBinding | undefined {
    const entry = this.entries.get(key);
    return entry && this.#remainingMs(entry) > 0 ? this.#now(entry) : undefined;
  }

  survivor({ key }: Call): StoredBinding | undefined {
    const entry = this.entries.get(key);
    const leftMs = entry ? this.#remainingMs(entry) : 0;
    if (!entry || leftMs <= 0 || entry.history === this.#history) {
      return undefined;
    }
    // Of what etcd had when it went away, that is there still whose lease cannot have run out.
    const isGone = entry.history < this.#replacedHistory || leftMs < this.#lostForMs + 10_000;
    return isGone ? this.#now(entry) : undefined;
  }

  lostGeneration({ key }: Call): number {
    const move = this.#moves.get(key);
    return move && move.history < this.#history ? move.generation : 0;
  }

  remember(stored: StoredBinding, verifiedAtMs: number): void {
    const { key } = stored.binding.call;
    const known = this.entries.get(key);
    if (stored.revision < (this.#moves.get(key)?.revision ?? 0)) {
      return;
    }
    if (known?.epoch === this.#epoch && known.stored.revision > stored.revision) {
      return;
    }
    const { ttlSeconds, expiresAtMs } = stored.binding;
    const leftMs = Math.max(0, expiresAtMs - this.clock.wallMs());
    const saysMs = this.leaseClock.nowMs() + Math.min(leaseSeconds(ttlSeconds) * 1000, leftMs);
    const isSame = known?.stored.revision === stored.revision && known.deadlineMs > this.leaseClock.nowMs();
    const deadlineMs = isSame ? Math.min(saysMs, known.deadlineMs) : saysMs;
    this.entries.delete(key);
    this.entries.set(key, { stored, verifiedAtMs, deadlineMs, epoch: this.#epoch, history: this.#history });
    const [oldest] = this.entries.keys();
    if (this.size > this.capacity && oldest !== undefined) {
      this.entries.delete(oldest);
    }
  }

  forget({ key }: Call): void {
    this.entries.delete(key);
  }

  hearMove(callKey: string, move: HeardMove): void {
    this.#moves.set(callKey, { ...move, history: this.#history });
    if ((this.entries.get(callKey)?.stored.revision ?? move.revision) < move.revision) {
      this.entries.delete(callKey);
    }
  }

  invalidateAll(): void {
    this.#epoch++;
  }

  beginHistory(loss: HistoryLoss): void {
    this.#epoch++;
    this.#history++;
    if (loss.kind === 'outage') {
      this.#lostForMs += loss.lostForMs;
      return;
    }
    this.#replacedHistory = this.#history;
    this.#lostForMs = 0;
    for (const [key, move] of this.#moves) {
      this.#moves.set(key, { ...move, revision: 0 });
    }
  }

  #remainingMs({ deadlineMs }: Entry): number {
    return deadlineMs - this.leaseClock.nowMs();
  }

  /** As the binding was written; with its end by the clock of now, where that has become another. */
  #now(entry: Entry): StoredBinding {
    const { binding } = entry.stored;
    const expiresAtMs = Math.round(this.clock.wallMs() + this.#remainingMs(entry));
    const isAsWritten = Math.abs(expiresAtMs - binding.expiresAtMs) < 1000;
    return {
      ...entry.stored,
      binding: {
        ...binding,
        call: { ...binding.call, anySet: false },
        expiresAtMs: isAsWritten ? binding.expiresAtMs : expiresAtMs,
      },
    };
  }
}

// Long Call-IDs, so that a few hundred bindings are many buffers; some are escaped in keys, some hashed, some in two sets.
const calls = Array.from({ length: 200 }, (_, i) => {
  const callId = `${i - (i % 2)}${i % 3 === 0 ? '%/é' : ''}${'x'.repeat((i * 37) % 1000)}`;
  return parseCall(callId, i % 5 === 0 ? `z9hG4bK/${i}` : '', i % 2 === 0 ? 'default' : 'edge');
});
const aCall = fc.constantFrom(...calls);
const aRevision = fc.oneof(fc.integer({ min: 1, max: 60 }), fc.maxSafeNat());
const aText = fc.string({ unit: 'binary', maxLength: 20 });
/** What is left of it by the clock of its writer, ms. */
const aRest = fc.oneof(fc.integer({ min: -100, max: 300 }), fc.integer({ min: -1e12, max: 1e12 }));
const aStored = fc
  .record({
    call: aCall,
    relayId: fc.constantFrom('r1', 'r2', 'r3'),
    instance: fc.string({ maxLength: 3 }),
    generation: fc.oneof(fc.constant(1), fc.maxSafeNat()),
    requestId: fc.oneof(fc.string({ maxLength: 64 }), aText),
    state: fc.constantFrom(...bindingStates),
    beginning: fc.option(aText, { nil: undefined }),
    createdAtMs: fc.integer({ min: -8.64e15, max: 8.64e15 }),
    begunAgainAtMs: fc.option(fc.maxSafeNat(), { nil: undefined }),
    ttlSeconds: fc.integer({ min: 1, max: 86_400 }),
    moves: fc.oneof(
      { weight: 3, arbitrary: fc.constant([]) },
      fc.array(fc.record({ atMs: fc.maxSafeNat(), from: aText, reason: aText, by: aText }), {
        maxLength: maxMoves,
      }),
    ),
    notices: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, fc.array(aText, { maxLength: 3 })),
    restMs: aRest,
    revision: aRevision,
  })
  .map(
    ({ restMs, revision, beginning, begunAgainAtMs, ...rest }) =>
      (nowMs: number): StoredBinding => ({
        revision,
        binding: {
          ...rest,
          beginning: beginning ?? rest.requestId,
          ...(begunAgainAtMs === undefined ? {} : { begunAgainAtMs }),
          expiresAtMs: nowMs + restMs,
        },
      }),
  );

interface World {
  readonly clock: ManualClock;
  readonly leaseClock: LeaseClock;
  readonly cache: BindingCache;
  readonly model: Model;
}
type Action = (world: World) => void;

const both =
  (act: (cache: BindingCache | Model) => void): Action =>
  ({ cache, model }) => {
    act(cache);
    act(model);
  };
const lose = (loss: HistoryLoss) => both((cache) => cache.beginHistory(loss));

const anAction: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 14,
    arbitrary: fc.tuple(aStored, fc.nat({ max: 150 })).map(
      ([make, agoMs]): Action =>
        (world) => {
          const stored = make(world.clock.wallMs());
          both((cache) => cache.remember(stored, world.clock.monotonicMs() - agoMs))(world);
        },
    ),
  },
  { weight: 2, arbitrary: aCall.map((call) => both((cache) => cache.forget(call))) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(aCall, aRevision, fc.integer({ min: 2, max: 9 }))
      .map(([{ key }, revision, generation]) =>
        both((cache) => cache.hearMove(key, { revision, generation, relayId: 'r2' })),
      ),
  },
  { weight: 1, arbitrary: fc.constant(both((cache) => cache.invalidateAll())) },
  { weight: 1, arbitrary: fc.constant(lose({ kind: 'replaced', reason: 'test', revision: 0 })) },
  { weight: 1, arbitrary: fc.nat({ max: 60_000 }).map((lostForMs) => lose({ kind: 'outage', lostForMs })) },
  {
    weight: 2,
    arbitrary: fc.oneof({ weight: 5, arbitrary: fc.nat({ max: 200 }) }, fc.nat({ max: 100_000 })).map(
      (ms): Action =>
        ({ clock }) =>
          clock.advance(ms),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.integer({ min: -10_800_000, max: 10_800_000 }).map(
      (ms): Action =>
        ({ clock }) =>
          clock.stepWall(ms),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.boolean().map(
      (isAway): Action =>
        ({ leaseClock }) => {
          if (isAway) {
            leaseClock.pause();
          } else {
            leaseClock.resume();
          }
        },
    ),
  },
);

test('it answers as a map of objects would', (t) => {
  const seen = { evicted: 0, fresh: 0, survivors: 0, ended: 0 };
  fc.assert(
    fc.property(
      fc.constantFrom(0, 1, 20, 150),
      fc.array(anAction, { size: 'max', minLength: 200, maxLength: 1500 }),
      (capacity, actions) => {
        const clock = new ManualClock();
        const leaseClock = new LeaseClock(clock);
        const options = { capacity, trustMs, bytesEach: Number.POSITIVE_INFINITY };
        const cache = new BindingCache({ clock, leaseClock }, options);
        const world = { clock, leaseClock, cache, model: new Model(clock, leaseClock, capacity) };
        const { model } = world;
        for (const act of actions) {
          act(world);
          if (cache.size !== model.size) {
            t.fail(`${cache.size} entries, not ${model.size}`);
          }
          if (model.size === capacity) {
            seen.evicted++;
          }
        }
        const surviving: Binding[] = [];
        for (const call of calls) {
          const survivor = model.survivor(call);
          t.deepEqual(cache.fresh(call), model.fresh(call));
          t.deepEqual(cache.lastKnown(call), model.lastKnown(call));
          t.deepEqual(cache.survivor(call), survivor);
          t.is(cache.lostMove(call)?.generation ?? 0, model.lostGeneration(call));
          surviving.push(...(survivor ? [survivor.binding] : []));
          seen.fresh += model.fresh(call) ? 1 : 0;
          seen.ended += model.entries.has(call.key) && !model.lastKnown(call) ? 1 : 0;
        }
        const listed = [...cache.survivors()].flat().map(({ binding }) => binding);
        const byKey = (one: Binding, other: Binding) => (one.call.key < other.call.key ? -1 : 1);
        t.deepEqual(listed.sort(byKey), surviving.sort(byKey));
        seen.survivors += surviving.length;
      },
    ),
    { numRuns: 60 },
  );
  for (const [what, count] of Object.entries(seen)) {
    t.true(count > 0, `some runs see ${what}`);
  }
});

test('a binding too long for it is forgotten, not cut short', (t) => {
  const clock = new ManualClock();
  const cache = new BindingCache({ clock, leaseClock: new LeaseClock(clock) }, { capacity: 10, trustMs });
  const remember = (overrides: Partial<Binding>, revision: number) => {
    const expiresAtMs = clock.wallMs() + 300_000;
    const stored = { revision, binding: aBinding('a', { expiresAtMs, ...overrides }) };
    cache.remember(stored, clock.monotonicMs());
    return stored;
  };
  const a = parseCall('a');
  const move = (reason: string) => ({ atMs: 1, from: 'r2', reason, by: 'selection' });
  const requestId = 'q'.repeat(1024);
  const fitting: Partial<Binding>[] = [
    { requestId, beginning: requestId },
    { moves: Array.from({ length: maxMoves }, () => move('€'.repeat(1024))) },
    { call: parseCall('é'.repeat(7000), 'z'.repeat(256), 'default') },
  ];
  const tooLong: Partial<Binding>[] = [
    { requestId: 'q'.repeat(1025) },
    { requestId: '…'.repeat(513) },
    { beginning: 'b'.repeat(32_768) },
    { moves: [move('x'.repeat(32_768))] },
    { call: parseCall('a'.repeat(512), '%'.repeat(256), 'default') },
  ];
  let revision = 0;
  for (const overrides of fitting) {
    const stored = remember(overrides, ++revision);
    t.deepEqual(cache.fresh(stored.binding.call), stored);
    cache.forget(stored.binding.call);
  }
  for (const overrides of tooLong) {
    remember({}, ++revision);
    t.truthy(cache.lastKnown(a));
    const { binding } = remember(overrides, ++revision);
    t.is(cache.lastKnown(binding.call), undefined);
    cache.forget(a);
    t.is(cache.size, 0);
  }
});
