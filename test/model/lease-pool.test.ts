import assert from 'node:assert/strict';
import test from 'ava';
import type { Etcd3 } from 'etcd3';
import fc from 'fast-check';
import { EmbeddedEtcd } from '../../services/embedded-etcd/embedded-etcd.js';
import { LeasePool } from '../../services/etcd/lease-pool.js';
import { endOfPrefix } from '../../services/etcd/range.js';
import { ManualClock, turns } from '../support/clock.js';
import { command } from '../support/command.js';
import { connect } from '../support/etcd.js';
import { type Fate, FaultyConnection } from '../support/faulty-connection.js';
import type { Scope } from '../support/process.js';
import { holds, scoped } from '../support/property.js';
import { codeOf } from '../support/registry.js';

/**
 * Keys get shared leases while time passes, and etcd refuses to grant leases, does not answer, or loses some. Each key lives
 * as long as requested, and not much longer; no lease has too many keys, or accepts them for too long; and no lease is
 * requested while another one will do.
 */

/** Limits that LeasePool keeps. */
const maxKeys = 1000;
const maxAgeMs = (seconds: number) => Math.min(60_000, Math.max(1000, seconds * 50));
/** How much longer than requested a key may live: an eighth for rounding up, and the age of its lease. */
const extraMs = (seconds: number) => (seconds / 8 + 3) * 1000 + maxAgeMs(seconds * 1.125 + 1);

interface Key {
  readonly name: string;
  readonly takenAtMs: number;
  readonly seconds: number;
}

/** One lease that the pool has returned. */
interface Use {
  keys: number;
  readonly seconds: number;
  readonly firstAtMs: number;
}

interface Model {
  keys: Key[];
  readonly uses: Map<string, Use>;
  /** Grants since the start that failed or were not answered. */
  failures: number;
}

const prefix = '/keys/';

/** Time passes between the request for a lease and its grant. */
class SlowConnection extends FaultyConnection {
  /** Grants requested, and those under way. */
  readonly grants = { asked: 0, underWay: 0 };
  grantTakesMs = 0;

  constructor(
    endpoint: string,
    private readonly clock: ManualClock,
  ) {
    super(endpoint);
  }

  override async grantLease(ttlSeconds: number): Promise<string> {
    this.grants.asked++;
    this.grants.underWay++;
    try {
      // Everything that waits only for its turn has run.
      await turns(1);
      this.clock.advance(this.grantTakesMs);
      return await super.grantLease(ttlSeconds);
    } finally {
      this.grants.underWay--;
    }
  }

  /** Resolves when no grant is under way, including those that were given up. */
  async quiet(): Promise<void> {
    while (this.busy || this.grants.underWay > 0) {
      await turns();
    }
  }
}

/** One etcd and one lease pool, on one clock. */
class World {
  readonly clock = new ManualClock();
  readonly client: Etcd3;
  readonly connection: SlowConnection;
  readonly pool: LeasePool;
  /** The fates of the next grants. */
  readonly fates: Fate[] = [];
  #names = 0;

  private constructor(scope: Scope, etcd: EmbeddedEtcd, clock: ManualClock) {
    this.clock = clock;
    this.client = connect(scope, etcd.endpoint);
    this.connection = new SlowConnection(etcd.endpoint, clock);
    scope.teardown(() => this.connection.close());
    this.connection.fate = (kind) => (kind === 'grant' && this.fates.shift()) || 'well';
    this.pool = new LeasePool(this.connection, this.clock);
  }

  static async open(scope: Scope): Promise<World> {
    const clock = new ManualClock();
    const etcd = new EmbeddedEtcd({ clock });
    await etcd.start();
    scope.teardown(() => etcd.stop());
    return new World(scope, etcd, clock);
  }

  /** Puts a key with the lease. @returns its name; undefined if the lease does not exist */
  async put(lease: string): Promise<string | undefined> {
    const name = `${++this.#names}`;
    const put = this.client.kv.put({ key: Buffer.from(prefix + name), value: Buffer.alloc(0), lease });
    return put.then(
      () => name,
      (error) => {
        if (String(error).includes('requested lease not found')) {
          return undefined;
        }
        throw error;
      },
    );
  }

  async names(): Promise<Set<string>> {
    const { kvs } = await this.client.kv.range({
      key: Buffer.from(prefix),
      range_end: endOfPrefix(prefix),
      keys_only: true,
    });
    return new Set(kvs.map(({ key }) => key.toString().slice(prefix.length)));
  }

  async leases(): Promise<string[]> {
    return (await this.client.leaseClient.leaseLeases()).leases.map(({ ID }) => ID);
  }
}

type Step = fc.AsyncCommand<Model, World>;
const step = command<Model, World>;
/** Few, so that leases are reused at every age; two share a lease, and two need no rounding. */
const lifetime = fc.constantFrom(10, 450, 480, 5400);

/** Every key exists as long as requested, and is gone soon after. */
async function observe(model: Model, world: World): Promise<void> {
  const present = await world.names();
  const nowMs = world.clock.monotonicMs();
  model.keys = model.keys.filter(({ name, takenAtMs, seconds }) => {
    const ageMs = nowMs - takenAtMs;
    const text = `${ageMs} ms after its lease was taken for ${seconds} s`;
    if (ageMs < seconds * 1000) {
      assert.ok(present.has(name), `a key is gone ${text}`);
    }
    if (ageMs > seconds * 1000 + extraMs(seconds)) {
      assert.ok(!present.has(name), `a key is there ${text}`);
    }
    return present.has(name);
  });
}

/** Takes a lease this often; only the last key is really put. */
async function take(model: Model, world: World, seconds: number, count: number): Promise<void> {
  const { pool, clock, connection } = world;
  const before = connection.grants.asked;
  const outcomes = await Promise.all(
    Array.from({ length: count }, async () => {
      try {
        return { lease: await pool.take(seconds), nowMs: clock.monotonicMs() };
      } catch (error) {
        return { error };
      }
    }),
  );
  const asked = connection.grants.asked - before;
  assert.ok(asked <= 2 + count / 250, `${asked} leases for ${count} keys`);
  const taken = new Map<string, number>();
  for (const outcome of outcomes) {
    if ('error' in outcome) {
      assert.equal(codeOf(outcome.error), 'unavailable');
      assert.ok(model.failures > 0, 'although no grant had failed');
      continue;
    }
    const { lease, nowMs } = outcome;
    taken.set(lease, nowMs);
    const use = model.uses.get(lease) ?? { keys: 0, seconds, firstAtMs: nowMs };
    model.uses.set(lease, use);
    use.keys++;
    assert.ok(use.keys <= maxKeys, `${use.keys} keys on a lease`);
    const ageMs = nowMs - use.firstAtMs;
    assert.ok(
      ageMs <= maxAgeMs(seconds * 1.125 + 1),
      `a lease for ${seconds} s takes keys after ${ageMs} ms`,
    );
  }
  // The life of a key begins when its lease is taken; the last one of each lease is put.
  for (const [lease, takenAtMs] of taken) {
    await put(model, world, lease, seconds, takenAtMs);
  }
}

/** Like a writer: reports a lease that does not exist, and takes another one. */
async function put(
  model: Model,
  world: World,
  lease: string,
  seconds: number,
  takenAtMs: number,
): Promise<void> {
  const name = await world.put(lease);
  if (name !== undefined) {
    model.keys.push({ name, takenAtMs, seconds });
    return;
  }
  world.pool.forget(lease);
  const next = await Promise.resolve(world.pool.take(seconds)).catch((error) => {
    assert.equal(codeOf(error), 'unavailable');
    assert.ok(model.failures > 0, 'although no grant had failed');
  });
  if (!next) {
    return;
  }
  assert.notEqual(next, lease, 'a lease that was forgotten is given out again');
  const retakenAtMs = world.clock.monotonicMs();
  const again = await world.put(next);
  // The next lease may be lost too: as many as were requested ahead.
  if (again !== undefined) {
    model.keys.push({ name: again, takenAtMs: retakenAtMs, seconds });
  }
}

const takes = fc
  .record({ seconds: lifetime, count: fc.constantFrom(1, 1, 1, 10, 400, 700, 2300) })
  .map(({ seconds, count }) =>
    step(`${count} for ${seconds} s`, async (model, world) => {
      await take(model, world, seconds, count);
      await observe(model, world);
    }),
  );

/** Around the time when a lease becomes too old to be reused. */
const lateTake = fc
  .record({ seconds: lifetime, byMs: fc.constantFrom(-300, -1, 0, 100) })
  .map(({ seconds, byMs }) =>
    step(
      `1 for ${seconds} s, another around the end of its reuse, ${byMs} ms off, until just before its expiry`,
      async (model, world) => {
        await take(model, world, seconds, 1);
        world.clock.advance(maxAgeMs(seconds) + byMs);
        await take(model, world, seconds, 1);
        world.clock.advance(seconds * 1000 - 1);
        await observe(model, world);
      },
    ),
  );

const pass = fc
  .oneof(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 1, max: 70_000 }), fc.constant(400_000))
  .map((ms) =>
    step(`${ms} ms pass`, async (model, world) => {
      world.clock.advance(ms);
      await observe(model, world);
    }),
  );

const nearlyPass = fc.constantFrom(0, 0, 1, 2, 7).map((index) =>
  step(
    'until just before a key expires',
    async (model, world) => {
      const { takenAtMs, seconds } = model.keys.at(-1 - (index % model.keys.length)) as Key;
      world.clock.advance(Math.max(0, takenAtMs + seconds * 1000 - 1 - world.clock.monotonicMs()));
      await observe(model, world);
    },
    ({ keys }) => keys.length > 0,
  ),
);

const fail = fc
  .tuple(fc.constantFrom<Fate>('unsent', 'unanswered', 'late'), fc.integer({ min: 1, max: 3 }))
  .map(([fate, count]) =>
    step(`the next ${count} grants: ${fate}`, (model, world) => {
      model.failures += count;
      for (let i = 0; i < count; i++) {
        world.fates.push(fate);
      }
    }),
  );

const slow = fc.constantFrom(0, 0, 300, 900).map((ms) =>
  step(`grants take ${ms} ms`, (_model, world) => {
    world.connection.grantTakesMs = ms;
  }),
);

const lose: Step = step('etcd loses all leases', async (model, world) => {
  for (const lease of await world.leases()) {
    await world.client.leaseClient.leaseRevoke({ ID: lease });
  }
  model.keys = [];
});

test('each key lives as long as requested, on leases that are neither too large nor too many', async (t) => {
  const commands = [takes, takes, takes, lateTake, pass, pass, nearlyPass, fail, slow, fc.constant(lose)];
  const property = fc.asyncProperty(fc.commands(commands, { maxCommands: 30, size: 'max' }), (steps) =>
    scoped(async (scope) => {
      const world = await World.open(scope);
      const model: Model = { keys: [], uses: new Map(), failures: 0 };
      await fc.asyncModelRun(() => ({ model, real: world }), steps);
      await world.connection.quiet();
      world.clock.advance(5400 * 1000 + extraMs(5400) + 60_000);
      // A few hundred leases expire per turn.
      world.clock.advance(10_000);
      assert.deepEqual(await world.leases(), [], 'leases that nobody ends');
      assert.equal((await world.names()).size, 0);
    }),
  );
  await holds(t, property, { runs: 60 });
});
