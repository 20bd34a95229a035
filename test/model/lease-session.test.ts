import assert from 'node:assert/strict';
import test from 'ava';
import type { Etcd3 } from 'etcd3';
import fc from 'fast-check';
import { EmbeddedEtcd } from '../../services/embedded-etcd/embedded-etcd.js';
import { LeaseSession } from '../../services/etcd/lease-session.js';
import { sleep } from '../../services/runtime/clock.js';
import { silentLogger } from '../../services/runtime/log.js';
import { ManualClock, turns } from '../support/clock.js';
import { command } from '../support/command.js';
import { connect } from '../support/etcd.js';
import { type Fate, FaultyConnection } from '../support/faulty-connection.js';
import type { Scope } from '../support/process.js';
import { holds, scoped } from '../support/property.js';

/**
 * An owner holds a session and opens another one when it has ended, while keepalives or their answers are late or lost, and
 * etcd is down or revokes the lease. The owner never considers an expired lease its own, gets each loss reported once, loses
 * none without cause, and always gets another one.
 */

const ttlSeconds = 5;
const ttlMs = ttlSeconds * 1000;
/** Period of the owner's attempts to open a session. */
const retryMs = 200;
/** Longest step of time, so that what a timer starts can act before the next step. */
const stepMs = 100;

interface Held {
  readonly session: LeaseSession;
  readonly reasons: string[];
  /** When the lease was revoked. */
  revokedAtMs?: number;
  closed?: boolean;
  /** When something began that can end it. */
  hurt?: boolean;
}

/** Holds a session while it runs, like a relay node. */
class Owner {
  readonly sessions: Held[] = [];
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;

  constructor(
    connection: FaultyConnection,
    clock: ManualClock,
    /** True during a disturbance: a session that begins now may be lost. */
    isHurt: () => boolean,
  ) {
    this.#running = this.#run(connection, clock, isHurt);
  }

  get current(): Held | undefined {
    return this.sessions.at(-1);
  }

  /** The session that it considers its own. */
  get holds(): Held | undefined {
    const { current } = this;
    return current && current.reasons.length === 0 ? current : undefined;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.current?.session.close();
    await this.#running;
  }

  async #run(connection: FaultyConnection, clock: ManualClock, isHurt: () => boolean): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        const session = await LeaseSession.open({ connection, clock, log: silentLogger }, ttlSeconds);
        const held: Held = { session, reasons: [], hurt: isHurt() };
        this.sessions.push(held);
        void session.done.then((reason) => held.reasons.push(reason));
        await session.done;
      } catch {
        await sleep(clock, retryMs, signal);
      }
    }
    await this.current?.session.close();
  }
}

interface Model {
  /** The current disturbance. */
  readonly wrong: Set<'away' | 'requests' | 'answers' | 'grants'>;
  /** When a stream last failed. */
  failedAtMs: number;
}

class World {
  readonly owner: Owner;
  readonly client: Etcd3;
  readonly connection: FaultyConnection;
  readonly clock: ManualClock;

  private constructor(scope: Scope, endpoint: string, clock: ManualClock, model: Model) {
    this.clock = clock;
    this.client = connect(scope, endpoint);
    this.connection = new FaultyConnection(endpoint);
    scope.teardown(() => this.connection.close());
    this.owner = new Owner(this.connection, clock, () => model.wrong.size > 0);
    scope.teardown(async () => {
      this.connection.restore();
      await this.owner.stop();
    });
  }

  static async open(scope: Scope, model: Model): Promise<World> {
    const clock = new ManualClock();
    const etcd = new EmbeddedEtcd({ clock });
    await etcd.start();
    scope.teardown(() => etcd.stop());
    const world = new World(scope, etcd.endpoint, clock, model);
    await world.quiet();
    return world;
  }

  /** Resolves when all that takes no time has happened. */
  async quiet(): Promise<void> {
    const deadlineMs = performance.now() + 5000;
    do {
      await turns();
    } while (this.connection.busy && performance.now() < deadlineMs);
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      this.clock.advance(Math.min(stepMs, left));
      await this.quiet();
      await this.check();
    }
  }

  /** Checks that the owner's beliefs are true. */
  async check(): Promise<void> {
    const { owner, clock } = this;
    for (const { session, reasons, closed } of owner.sessions) {
      assert.ok(reasons.length <= 1, `it was reported more than once: ${reasons}`);
      assert.equal(session.ended, reasons.length === 1, 'it is reported at once');
      if (reasons.length === 1 && !closed) {
        assert.notEqual(reasons[0], 'closed');
      }
    }
    assert.ok(
      owner.sessions.slice(0, -1).every(({ reasons }) => reasons.length === 1),
      'two sessions are held',
    );
    const held = owner.holds;
    if (!held) {
      return;
    }
    const { session, revokedAtMs } = held;
    assert.ok(session.remainingMs > 0, 'it has expired by its own clock');
    // Only the next keepalive reveals a revocation.
    if (revokedAtMs !== undefined) {
      assert.ok(clock.monotonicMs() - revokedAtMs <= ttlMs, 'it does not notice that its lease was revoked');
      return;
    }
    const { TTL } = await this.client.leaseClient.leaseTimeToLive({ ID: session.lease });
    assert.ok(Number(TTL) >= 0, `the lease has expired, and it counts on another ${session.remainingMs} ms`);
  }
}

type Step = fc.AsyncCommand<Model, World>;
const step = command<Model, World>;

const pass = fc
  .oneof(fc.integer({ min: 1, max: 1500 }), fc.integer({ min: 1, max: 7000 }))
  .map((ms) => step(`${ms} ms pass`, (_model, world) => world.pass(ms)));

/** A disturbance: it may end the session. */
const trouble = (text: string, run: (model: Model, world: World) => unknown): Step =>
  step(text, async (model, world) => {
    if (world.owner.holds) {
      world.owner.holds.hurt = true;
    }
    await run(model, world);
    await world.quiet();
    await world.check();
  });

const away = trouble('etcd is away', (model, world) => {
  model.wrong.add('away');
  world.connection.cut();
});

/** A stream fails, which alone must not end the session: there is time for another one. */
const failure = (text: string, fail: (connection: FaultyConnection) => void): Step =>
  step(text, async (model, world) => {
    const { owner, clock, connection } = world;
    if (owner.holds && clock.monotonicMs() - model.failedAtMs < ttlMs) {
      owner.holds.hurt = true;
    }
    model.failedAtMs = clock.monotonicMs();
    fail(connection);
    await world.quiet();
    await world.check();
  });
const drop = failure('the connection breaks', (connection) => connection.drop());
const silence = failure('the connection falls silent', (connection) => connection.silence());

const holdBack = (['requests', 'answers'] as const).map((direction) =>
  trouble(`${direction} are late`, (model, world) => {
    model.wrong.add(direction);
    world.connection.hold(direction);
  }),
);
const lateThenLost = fc.integer({ min: 100, max: 1200 }).map((ms) =>
  trouble(`answers are ${ms} ms late, then etcd is away`, async (model, world) => {
    model.wrong.add('answers');
    world.connection.hold('answers');
    await world.pass(ms);
    world.connection.restore();
    await world.quiet();
    model.wrong.add('away');
    world.connection.cut();
    await world.pass(ttlMs);
  }),
);
const loseGrants = fc.constantFrom<Fate>('unsent', 'unanswered').map((fate) =>
  trouble(`grants: ${fate}`, (model, world) => {
    model.wrong.add('grants');
    world.connection.fate = (kind) => (kind === 'grant' ? fate : 'well');
  }),
);
const revoke = trouble('somebody takes the lease away', async (_model, world) => {
  const { holds } = world.owner;
  if (!holds || holds.revokedAtMs !== undefined) {
    return;
  }
  await world.client.leaseClient.leaseRevoke({ ID: holds.session.lease });
  holds.revokedAtMs = world.clock.monotonicMs();
});
const close = trouble('the owner closes it', async (_model, world) => {
  const { holds } = world.owner;
  if (!holds) {
    return;
  }
  holds.closed = true;
  await holds.session.close();
});
const restore = step('restore', async (model, world) => {
  model.wrong.clear();
  world.connection.restore();
  world.connection.fate = () => 'well';
  await world.quiet();
  await world.check();
});

/** Without disturbance a session is soon held, and kept. */
async function finish(model: Model, world: World): Promise<void> {
  await restore.run(model, world);
  await world.pass(2 * ttlMs);
  const { holds } = world.owner;
  assert.ok(holds, 'no session is held although nothing is wrong any more');
  await world.pass(2 * ttlMs);
  assert.equal(world.owner.holds, holds, 'the session was lost although nothing was wrong');
  for (const { hurt, reasons } of world.owner.sessions) {
    assert.ok(hurt || reasons.length === 0, `a session was lost without cause: ${reasons}`);
  }
}

test('the owner never considers an expired lease its own, and always gets another session', async (t) => {
  const once: fc.Arbitrary<Step>[] = [away, drop, silence, ...holdBack, revoke, close].map((each) =>
    fc.constant(each),
  );
  const well = fc.constant(restore);
  const commands = [pass, pass, pass, loseGrants, lateThenLost, ...once, well, well, well, well];
  const property = fc.asyncProperty(fc.commands(commands, { maxCommands: 20, size: 'max' }), (steps) =>
    scoped(async (scope) => {
      const model: Model = { wrong: new Set(), failedAtMs: Number.NEGATIVE_INFINITY };
      const world = await World.open(scope, model);
      await fc.asyncModelRun(() => ({ model, real: world }), steps);
      await finish(model, world);
    }),
  );
  await holds(t, property, { runs: 30 });
});
