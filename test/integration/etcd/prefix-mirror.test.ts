import test, { type ExecutionContext } from 'ava';
import type { Etcd3 } from 'etcd3';
import { pino } from 'pino';
import { EtcdConnection } from '../../../services/etcd/connection.js';
import { PrefixMirror } from '../../../services/etcd/prefix-mirror.js';
import { endOfPrefix } from '../../../services/etcd/range.js';
import { systemClock } from '../../../services/runtime/clock.js';
import { type Logger, silentLogger } from '../../../services/runtime/log.js';
import { behaviors, connect, startEmbeddedEtcd, startRealEtcd } from '../../support/etcd.js';
import { freeTcpPort } from '../../support/ports.js';
import { eventually, newKeyspace, openConnection } from '../../support/registry.js';
import { testWith } from '../../support/requirement.js';
import { TcpProxy } from '../../support/tcp-proxy.js';

const behavior = behaviors();

interface Told {
  readonly name: string;
  /** Undefined: it went away. */
  readonly value: string | undefined;
  readonly revision: number | undefined;
}

interface Options {
  readonly prefix?: string;
  readonly log?: Logger;
}

/** A view of a prefix of its own, with all that it told. Values that begin with «junk» are junk. */
function open(t: ExecutionContext, connection: EtcdConnection, options: Options = {}) {
  const { prefix = newKeyspace().relays, log = silentLogger } = options;
  const told: Told[] = [];
  const lives: boolean[] = [];
  const view = new PrefixMirror<string>({
    connection,
    prefix,
    decode: (_name, value) => (value.toString().startsWith('junk') ? undefined : value.toString()),
    onChange: (name, entry) => told.push({ name, value: entry?.value, revision: entry?.revision }),
    onLive: (live) => lives.push(live),
    clock: systemClock,
    log,
  });
  t.teardown(() => view.stop());
  return { view, told, lives, prefix };
}

const put = async (client: Etcd3, key: string, value: string): Promise<number> =>
  Number((await client.kv.put({ key: Buffer.from(key), value: Buffer.from(value) })).header.revision);
const remove = (client: Etcd3, key: string) => client.kv.deleteRange({ key: Buffer.from(key) });

/** What etcd holds, as the view should show it. */
async function truth(client: Etcd3, prefix: string): Promise<Record<string, string>> {
  const { kvs } = await client.kv.range({ key: Buffer.from(prefix), range_end: endOfPrefix(prefix) });
  return Object.fromEntries(
    kvs.map(({ key, value, mod_revision }) => [
      key.toString().slice(prefix.length),
      `${value}@${mod_revision}`,
    ]),
  );
}

const shown = (view: PrefixMirror<string>): Record<string, string> =>
  Object.fromEntries(
    [...view.entries].sort().map(([name, { value, revision }]) => [name, `${value}@${revision}`]),
  );

async function sees(
  t: ExecutionContext,
  view: PrefixMirror<string>,
  client: Etcd3,
  prefix: string,
): Promise<void> {
  await eventually(
    async () => JSON.stringify(shown(view)) === JSON.stringify(await truth(client, prefix)),
    'agreement of the view with etcd',
  );
  t.pass();
}

/** All revisions of one key are told in etcd's order, each once. */
function inOrder(t: ExecutionContext, told: readonly Told[]): void {
  const last = new Map<string, number>();
  for (const { name, revision } of told) {
    if (revision === undefined) continue;
    t.true(revision > (last.get(name) ?? 0), `${name} was told at ${last.get(name)} and then at ${revision}`);
    last.set(name, revision);
  }
}

behavior('it tells what is there, then each change in order', async (t, client, etcd) => {
  const { view, told, prefix } = open(t, openConnection(t, etcd.endpoint));
  const first = await put(client, `${prefix}a`, '1');
  await put(client, `${prefix.slice(0, -1)}`, 'not below the prefix');
  await view.start();
  t.deepEqual(told, [{ name: 'a', value: '1', revision: first }]);
  await eventually(() => view.live, 'live view');
  const second = await put(client, `${prefix}b/c`, '2');
  const third = await put(client, `${prefix}a`, '3');
  await remove(client, `${prefix}b/c`);
  await eventually(() => told.length === 4, 'four changes');
  t.deepEqual(told.slice(1), [
    { name: 'b/c', value: '2', revision: second },
    { name: 'a', value: '3', revision: third },
    { name: 'b/c', value: undefined, revision: undefined },
  ]);
  t.deepEqual(shown(view), { a: `3@${third}` });
});

behavior('no change is lost across a cut', async (t, client, etcd) => {
  const proxy = await TcpProxy.start(t, etcd.endpoint);
  const { view, told, lives, prefix } = open(t, openConnection(t, proxy.endpoint));
  for (const name of ['stays', 'changes', 'goes', 'comes-back']) await put(client, prefix + name, '1');
  await view.start();
  await eventually(() => view.live, 'live view');
  proxy.cut();
  await eventually(() => !view.live, 'the cut to be noticed');
  told.length = 0;
  await put(client, `${prefix}changes`, '2');
  await remove(client, `${prefix}goes`);
  await remove(client, `${prefix}comes-back`);
  await put(client, `${prefix}comes-back`, '1');
  await put(client, `${prefix}new`, '1');
  await put(client, `${prefix}passing`, '1');
  await remove(client, `${prefix}passing`);
  proxy.restore();
  await sees(t, view, client, prefix);
  t.deepEqual(
    told.map(({ name, value }) => `${name}=${value}`).sort(),
    ['changes=2', 'comes-back=1', 'goes=undefined', 'new=1'],
    'only what differs is told',
  );
  await eventually(() => view.live, 'live view');
  t.deepEqual(lives, [true, false, true]);
  await put(client, `${prefix}afterwards`, '1');
  await sees(t, view, client, prefix);
});

behavior('nor across many short ones in the middle of changes', async (t, client, etcd) => {
  const proxy = await TcpProxy.start(t, etcd.endpoint);
  const { view, told, prefix } = open(t, openConnection(t, proxy.endpoint));
  await view.start();
  for (let i = 0; i < 240; i++) {
    const key = `${prefix}k${(i * 7) % 13}`;
    if (i % 5 === 4) await remove(client, key);
    else await put(client, key, `${i}`);
    if (i % 30 === 29) proxy.drop();
  }
  await sees(t, view, client, prefix);
  inOrder(t, told);
});

behavior('a compaction during the cut is survived', async (t, client, etcd) => {
  const proxy = await TcpProxy.start(t, etcd.endpoint);
  const { view, told, prefix } = open(t, openConnection(t, proxy.endpoint));
  await put(client, `${prefix}goes`, '1');
  await view.start();
  await eventually(() => view.live, 'live view');
  proxy.cut();
  await eventually(() => !view.live, 'the cut to be noticed');
  await remove(client, `${prefix}goes`);
  let revision = 0;
  for (let i = 0; i < 20; i++) revision = await put(client, `${prefix}k${i % 4}`, `${i}`);
  await client.kv.compact({ revision: `${revision}` });
  proxy.restore();
  await sees(t, view, client, prefix);
  await eventually(() => view.live, 'live view');
  await put(client, `${prefix}afterwards`, '1');
  await sees(t, view, client, prefix);
  inOrder(t, told);
});

/** Something happens between the list and the watch that goes on from there. */
class SlowToWatch extends EtcdConnection {
  constructor(
    endpoint: string,
    private readonly before: () => Promise<void>,
  ) {
    super({ endpoints: [endpoint], timeoutMs: 10_000 });
  }

  override async watch() {
    await this.before();
    return await super.watch();
  }
}

behavior('a watch that has thousands of changes to catch up on misses none', async (t, client, etcd) => {
  const changes = 2_500;
  let prefix = '';
  let caughtUp = false;
  const connection = new SlowToWatch(etcd.endpoint, async () => {
    if (caughtUp) return;
    caughtUp = true;
    for (let i = 0; i < changes; i += 100)
      await Promise.all(Array.from({ length: 100 }, (_, j) => put(client, `${prefix}k${i + j}`, '1')));
  });
  t.teardown(() => connection.close());
  const opened = open(t, connection);
  prefix = opened.prefix;
  await opened.view.start();
  await eventually(() => opened.view.live, 'live view');
  await put(client, `${prefix}last`, '1');
  await eventually(() => opened.view.entries.has('last'), 'the last change');
  t.is(opened.view.entries.size, changes + 1);
  inOrder(t, opened.told);
});

behavior('a watch that was compacted away before it began is begun anew', async (t, client, etcd) => {
  let prefix = '';
  let opened = 0;
  const connection = new SlowToWatch(etcd.endpoint, async () => {
    if (opened++ > 0) return;
    await put(client, `${prefix}a`, '1');
    await remove(client, `${prefix}a`);
    const revision = await put(client, `${prefix}b`, '1');
    await client.kv.compact({ revision: `${revision}` });
  });
  t.teardown(() => connection.close());
  const made = open(t, connection);
  prefix = made.prefix;
  await made.view.start();
  await sees(t, made.view, client, prefix);
  await eventually(() => made.view.live, 'live view');
});

behavior('more keys than one page are listed whole, at one revision', async (t, client, etcd) => {
  const { view, prefix } = open(t, openConnection(t, etcd.endpoint));
  const count = 5_200;
  for (let i = 0; i < count; i += 100)
    await client.kv.txn({
      success: Array.from({ length: 100 }, (_, j) => ({
        request_put: {
          key: Buffer.from(`${prefix}${String(i + j).padStart(5, '0')}`),
          value: Buffer.from('1'),
        },
      })),
    });
  await view.start();
  t.is(view.entries.size, count);
  t.deepEqual(shown(view), await truth(client, prefix));
});

behavior('junk is logged and treated as absent, and heals', async (t, client, etcd) => {
  const lines: string[] = [];
  const log = pino({ level: 'warn' }, { write: (line: string) => lines.push(line) });
  const { view, told, prefix } = open(t, openConnection(t, etcd.endpoint), { log });
  await put(client, `${prefix}from-start`, 'junk');
  await put(client, `${prefix}turns-bad`, '1');
  await view.start();
  await eventually(() => view.live, 'live view');
  t.is(view.entries.size, 1);
  await put(client, `${prefix}turns-bad`, 'junk');
  await put(client, `${prefix}junk-at-first`, 'junk');
  await put(client, `${prefix}junk-at-first`, '2');
  await eventually(() => view.entries.has('junk-at-first'), 'good value');
  t.deepEqual(
    told.map(({ name, value }) => `${name}=${value}`),
    ['turns-bad=1', 'turns-bad=undefined', 'junk-at-first=2'],
  );
  const junk = lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg.includes('junk'));
  t.deepEqual(
    junk.map(({ key }) => key.slice(prefix.length)),
    ['from-start', 'turns-bad', 'junk-at-first'],
  );
});

behavior(
  'a refresh knows all that was written before it, while the watch goes on',
  async (t, client, etcd) => {
    const { view, told, prefix } = open(t, openConnection(t, etcd.endpoint));
    await view.start();
    await eventually(() => view.live, 'live view');
    for (let i = 0; i < 100; i++) {
      const revision = await put(client, `${prefix}k${i % 3}`, `${i}`);
      await Promise.all([view.refresh(), view.refresh()]);
      t.true((view.entries.get(`k${i % 3}`)?.revision ?? 0) >= revision);
      if (i % 10 === 0) await remove(client, `${prefix}k${i % 3}`);
    }
    await sees(t, view, client, prefix);
    inOrder(t, told);
    t.true(view.live);
  },
);

behavior(
  'a refresh fails when etcd does not answer, and the view stays as it was',
  async (t, client, etcd) => {
    const proxy = await TcpProxy.start(t, etcd.endpoint);
    const { view, prefix } = open(t, openConnection(t, proxy.endpoint, 500));
    await put(client, `${prefix}a`, '1');
    await view.start();
    await eventually(() => view.live, 'live view');
    proxy.cut();
    await t.throwsAsync(view.refresh());
    t.is(view.entries.size, 1);
  },
);

test('a view waits for etcd to appear', async (t) => {
  const port = await freeTcpPort();
  const { view, prefix } = open(t, openConnection(t, `127.0.0.1:${port}`));
  const started = view.start();
  let complete = false;
  void started.then(() => {
    complete = true;
  });
  const { endpoint } = await startEmbeddedEtcd(t, { port });
  t.false(complete);
  await started;
  const client = connect(t, endpoint);
  await put(client, `${prefix}a`, '1');
  await sees(t, view, client, prefix);
});

test('a connection that went silent is noticed, and what it held back is told', async (t) => {
  const etcd = await startEmbeddedEtcd(t);
  const proxy = await TcpProxy.start(t, etcd.endpoint);
  const client = connect(t, etcd.endpoint);
  const { view, prefix } = open(t, openConnection(t, proxy.endpoint));
  await view.start();
  await eventually(() => view.live, 'live view');
  proxy.freeze();
  await put(client, `${prefix}a`, '1');
  await eventually(() => !view.live, 'the silence to be noticed', 40_000);
  t.is(view.entries.size, 0);
  proxy.restore();
  await sees(t, view, client, prefix);
  await eventually(() => view.live, 'live view');
});

test('a member that is down is left for the next, for lists and watches', async (t) => {
  const etcd = await startEmbeddedEtcd(t);
  const dead = await freeTcpPort();
  const proxy = await TcpProxy.start(t, etcd.endpoint);
  const client = connect(t, etcd.endpoint);
  const endpoints = `127.0.0.1:${dead},${proxy.endpoint},${etcd.endpoint}`;
  const { view, prefix } = open(t, openConnection(t, endpoints));
  await view.start();
  await eventually(() => view.live, 'live view');
  proxy.cut();
  await put(client, `${prefix}a`, '1');
  await sees(t, view, client, prefix);
  await eventually(() => view.live, 'live view');
});

test('an etcd that lost its data is believed', async (t) => {
  const before = await startEmbeddedEtcd(t);
  const port = Number(before.endpoint.split(':')[1]);
  const { view, told, prefix } = open(t, openConnection(t, before.endpoint));
  const client = connect(t, before.endpoint);
  for (let i = 0; i < 50; i++) await put(client, `${prefix}old${i % 2}`, `${i}`);
  await view.start();
  await eventually(() => view.live, 'live view');
  await before.stop();
  const after = await startEmbeddedEtcd(t, { port });
  const anew = connect(t, after.endpoint);
  await put(anew, `${prefix}old1`, '49');
  await put(anew, `${prefix}new`, '1');
  await sees(t, view, anew, prefix);
  t.deepEqual([...view.entries.keys()].sort(), ['new', 'old1']);
  t.true(told.some(({ name, value }) => name === 'old0' && value === undefined));
  await eventually(() => view.live, 'live view');
  await put(anew, `${prefix}later`, '1');
  await sees(t, view, anew, prefix);
});

testWith(['etcd'], 'a kill of etcd in the middle of changes loses none', async (t) => {
  const etcd = await startRealEtcd(t);
  const { view, told, prefix } = open(t, openConnection(t, etcd.endpoint));
  const client = connect(t, etcd.endpoint);
  await put(client, `${prefix}goes`, '1');
  await view.start();
  await eventually(() => view.live, 'live view');
  for (let round = 0; round < 2; round++) {
    await put(client, `${prefix}before`, `${round}`);
    await etcd.kill();
    await etcd.restart();
    const again = connect(t, etcd.endpoint);
    await put(again, `${prefix}after`, `${round}`);
    await remove(again, `${prefix}goes`);
    await sees(t, view, again, prefix);
    await eventually(() => view.live, 'live view');
  }
  inOrder(t, told);
});

test('after a stop nothing is told, and stopping twice is fine', async (t) => {
  const etcd = await startEmbeddedEtcd(t);
  const client = connect(t, etcd.endpoint);
  const { view, told, prefix } = open(t, openConnection(t, etcd.endpoint));
  await view.start();
  await eventually(() => view.live, 'live view');
  await Promise.all([view.stop(), view.stop()]);
  t.false(view.live);
  await put(client, `${prefix}a`, '1');
  await client.kv.range({ key: Buffer.from(prefix) });
  t.deepEqual(told, []);
});
