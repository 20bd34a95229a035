import assert from 'node:assert/strict';
import test from 'ava';
import fc from 'fast-check';
import { command } from '../support/command.js';
import { fileScope } from '../support/etcd.js';
import { holds, scoped } from '../support/property.js';
import { isJunk, Server, type Told, World } from './prefix-mirror-world.js';

/**
 * Whatever is written, and whatever happens to the connection: the view always equals etcd's state at some revision, which
 * never goes back; its change events add up to the view; and in the end it equals etcd's current state. While the connection
 * is up, every single change is reported.
 */

/** "name → value@revision" of all keys that are not malformed. */
type Contents = ReadonlyMap<string, string>;

interface Model {
  /** Every state of the prefix so far; the last one is the current one. */
  readonly states: Contents[];
  /** Names of keys with the lease; undefined while none is granted. */
  leased: Set<string> | undefined;
  isCut: boolean;
  isFrozen: boolean;
  isSlow: boolean;
  /** Index of the last state that the view showed. */
  seen: number;
  /** Number of events at the last check. */
  readonly replayed: { contents: Map<string, string>; count: number };
  /** State from which every change must be reported; undefined while changes may be skipped. */
  quiet: { readonly state: number; readonly told: number } | undefined;
}

const leaseSeconds = 60;
const present = ({ states }: Model) => states.at(-1) as Contents;
const name = fc.constantFrom('a', 'b', 'c/d');
const value = fc.constantFrom('1', '2', '3', 'junk', 'junk-2');
const isReachable = ({ isCut, isFrozen }: Model) => !isCut && !isFrozen;
type Step = fc.AsyncCommand<Model, World>;
const step = command<Model, World>;

function afterwards(
  model: Model,
  revision: number,
  writes: readonly { name: string; value?: string }[],
): void {
  const contents = new Map(present(model));
  for (const { name, value } of writes) {
    if (value === undefined || isJunk(value)) {
      contents.delete(name);
    } else {
      contents.set(name, `${value}@${revision}`);
    }
  }
  model.states.push(contents);
}

/** The view equals a state of etcd that is not older than its last one, and the sum of its events. */
function observe(model: Model, { shown, told }: World): void {
  const at = model.states.findIndex(
    (contents, index) => index >= model.seen && show(contents) === show(shown),
  );
  const last = show(model.states[model.seen] as Contents);
  assert.ok(at >= 0, `the view shows ${show(shown)} after ${last}; etcd holds ${show(present(model))}`);
  model.seen = at;
  const { contents } = model.replayed;
  for (const change of told.slice(model.replayed.count)) {
    replay(contents, change);
  }
  model.replayed.count = told.length;
  assert.equal(show(contents), show(shown), 'the events add up to the view');
}

function replay(contents: Map<string, string>, { name, text }: Told): void {
  const before = contents.get(name);
  if (text === undefined) {
    assert.ok(contents.delete(name), `${name} was reported as deleted but did not exist`);
    return;
  }
  assert.ok(!isJunk(text), `a malformed value was reported: ${text}`);
  assert.ok(revisionOf(text) > revisionOf(before), `${name} was reported as ${before}, then as ${text}`);
  contents.set(name, text);
}

const revisionOf = (text = '@0') => Number(text.split('@')[1]);
const show = (contents: Contents) => JSON.stringify([...contents].sort());

/** The events to expect between two states, in order. */
function changesSince(model: Model, index: number): Told[] {
  return model.states.slice(index + 1).flatMap((after, i) => {
    const before = model.states[index + i] as Contents;
    return [...new Set([...before.keys(), ...after.keys()])]
      .sort()
      .filter((name) => before.get(name) !== after.get(name))
      .map((name) => ({ name, text: after.get(name) }));
  });
}

async function settle(model: Model, world: World): Promise<void> {
  world.restore();
  Object.assign(model, { isCut: false, isFrozen: false, isSlow: false });
  await world.pump(world.refreshing);
  // The last of all changes: a view that shows it has noticed every break before.
  const marker = [{ name: 'settled', value: `${model.states.length}` }];
  afterwards(model, await world.write(marker), marker);
  await world.pump(() => world.view.live && show(world.shown) === show(present(model)));
  model.seen = model.states.length - 1;
  observe(model, world);
  const { quiet } = model;
  if (quiet) {
    assert.deepEqual(world.told.slice(quiet.told), changesSince(model, quiet.state));
  }
  model.quiet = { state: model.states.length - 1, told: world.told.length };
}

/** The view may list again: changes meanwhile need not be reported. */
function disturb(model: Model): void {
  model.quiet = undefined;
}

const write = fc
  .uniqueArray(fc.record({ name, value: fc.option(value, { nil: undefined }) }), {
    selector: (each) => each.name,
    minLength: 1,
    maxLength: 3,
  })
  .map((unsorted) => {
    const writes = unsorted
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map(({ name, value }) => ({ name, ...(value === undefined ? {} : { value }) }));
    const text = writes.map(({ name, value }) => `${name}=${value ?? 'gone'}`).join(' ');
    return step(text, async (model, world) => {
      afterwards(model, await world.write(writes), writes);
      for (const { name } of writes) {
        model.leased?.delete(name);
      }
      observe(model, world);
    });
  });

const writeLeased = fc.tuple(name, value).map(([name, value]) =>
  step(`${name}=${value} on a lease`, async (model, world) => {
    const { client } = world.server;
    if (!model.leased) {
      world.lease = (await client.leaseClient.leaseGrant({ TTL: leaseSeconds })).ID;
    }
    model.leased ??= new Set();
    model.leased.add(name);
    afterwards(model, await world.write([{ name, value, lease: world.lease }]), [{ name, value }]);
    observe(model, world);
  }),
);

const expire = step(
  'the lease expires',
  async (model, world) => {
    world.server.clock.advance(leaseSeconds * 1000 + 100);
    afterwards(
      model,
      await world.revision(),
      [...(model.leased ?? [])].map((name) => ({ name })),
    );
    model.leased = undefined;
    observe(model, world);
  },
  ({ leased }) => leased !== undefined,
);

const compact = step('compact', async (model, world) => {
  const revision = await world.revision();
  await world.server.client.kv.compact({ revision: `${revision}` }).catch((error) => {
    if (!String(error).includes('compacted')) {
      throw error;
    }
  });
  observe(model, world);
});

const drop = step('break the connections', (model, world) => {
  disturb(model);
  world.proxy.drop();
});

const cut = step('cut', (model, world) => {
  disturb(model);
  model.isCut = true;
  world.proxy.cut();
});

const freeze = step('freeze', (model, world) => {
  model.isFrozen = true;
  world.proxy.freeze();
});

const slowWatch = step('break the connections, and delay the next watch', (model, world) => {
  disturb(model);
  world.connection.watches.close();
  world.proxy.drop();
});

const slowNews = step('delay events', (_model, world) => world.connection.hold('answers'));

const refresh = step(
  'refresh',
  async (model, world) => {
    disturb(model);
    const asked = model.states.length - 1;
    const refreshing = world.view.refresh();
    world.connection.lists.open();
    model.isSlow = false;
    // Without a connection it fails, without guarantees.
    const refreshed = await refreshing.then(
      () => true,
      () => false,
    );
    if (refreshed) {
      model.seen = Math.max(model.seen, asked);
    }
    observe(model, world);
  },
  isReachable,
);

const slowRefresh = step(
  'refresh with a delayed answer',
  async (model, world) => {
    disturb(model);
    model.isSlow = true;
    const { lists } = world.connection;
    lists.close();
    let failed = false;
    world.refreshing = world.view.refresh().catch(() => {
      failed = true;
    });
    await world.pump(() => lists.waiting > 0 || failed);
  },
  (model) => isReachable(model) && !model.isSlow,
);

const newView = step('another view', async (model, world) => {
  world.restore();
  Object.assign(model, { isCut: false, isFrozen: false, isSlow: false });
  disturb(model);
  await world.restartView();
  Object.assign(model.replayed, { contents: new Map(), count: 0 });
  model.seen = model.states.length - 1;
  observe(model, world);
});

const pass = fc.integer({ min: 1, max: 2000 }).map((ms) =>
  step(`${ms} ms pass`, async (model, world) => {
    world.clock.advance(ms);
    await new Promise((resolve) => setTimeout(resolve, 2));
    observe(model, world);
  }),
);

const once = (each: Step) => fc.constant(each);
const commands = [
  ...[write, write, write, write, writeLeased, writeLeased, pass],
  ...[expire, compact, drop, cut, freeze, slowWatch, slowNews, refresh, slowRefresh, newView].map(once),
  ...[step('settle', settle), step('settle', settle)].map(once),
];

const scope = fileScope();
let server: Promise<Server> | undefined;

test('the view equals the state of etcd, whatever happens to the connection', async (t) => {
  server ??= Server.start(scope);
  const etcd = await server;
  const property = fc.asyncProperty(fc.commands(commands, { maxCommands: 40, size: 'max' }), (steps) =>
    scoped(async (scope) => {
      const world = await World.open(scope, etcd);
      const model: Model = {
        states: [new Map()],
        leased: undefined,
        isCut: false,
        isFrozen: false,
        isSlow: false,
        seen: 0,
        replayed: { contents: new Map(), count: 0 },
        quiet: undefined,
      };
      await fc.asyncModelRun(() => ({ model, real: world }), steps);
      await settle(model, world);
    }),
  );
  await holds(t, property, { runs: 60 });
});
