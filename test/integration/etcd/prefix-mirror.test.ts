import { pino } from 'pino';
import { EtcdConnection } from '../../../services/etcd/connection.js';
import { behaviors } from '../../support/etcd.js';
import { eventually, openConnection } from '../../support/registry.js';
import { TcpProxy } from '../../support/tcp-proxy.js';
import { inOrder, open, put, remove, sees, shown, truth } from './prefix-mirror-scene.js';

const behavior = behaviors();

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
  for (const name of ['stays', 'changes', 'goes', 'comes-back']) {
    await put(client, prefix + name, '1');
  }
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
    if (i % 5 === 4) {
      await remove(client, key);
    } else {
      await put(client, key, `${i}`);
    }
    if (i % 30 === 29) {
      proxy.drop();
    }
  }
  await sees(t, view, client, prefix);
  inOrder(t, told);
});

behavior('what is only to be told is not kept, and told once', async (t, client, etcd) => {
  const proxy = await TcpProxy.start(t, etcd.endpoint);
  const { view, told, prefix } = open(t, openConnection(t, proxy.endpoint), { keeps: false });
  await put(client, `${prefix}before`, '1');
  await view.start();
  await eventually(() => view.live, 'live view');
  await put(client, `${prefix}live`, '1');
  await put(client, `${prefix}junk`, 'junk');
  await eventually(() => told.length === 2, 'two changes');
  proxy.cut();
  await eventually(() => !view.live, 'the cut to be noticed');
  await put(client, `${prefix}meanwhile`, '1');
  await put(client, `${prefix}live`, '2');
  proxy.restore();
  await eventually(() => view.live && told.length === 4, 'what was missed');
  await put(client, `${prefix}after`, '1');
  await eventually(() => told.length === 5, 'the last change');
  t.deepEqual(
    told.map(({ name, value }) => `${name}=${value}`),
    ['before=1', 'live=1', 'live=2', 'meanwhile=1', 'after=1'],
  );
  t.is(view.entries.size, 0);
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
  for (let i = 0; i < 20; i++) {
    revision = await put(client, `${prefix}k${i % 4}`, `${i}`);
  }
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
  const changes = 2500;
  let prefix = '';
  let caughtUp = false;
  const connection = new SlowToWatch(etcd.endpoint, async () => {
    if (caughtUp) {
      return;
    }
    caughtUp = true;
    for (let i = 0; i < changes; i += 100) {
      await Promise.all(Array.from({ length: 100 }, (_, j) => put(client, `${prefix}k${i + j}`, '1')));
    }
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
    if (opened++ > 0) {
      return;
    }
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
  const count = 5200;
  for (let i = 0; i < count; i += 100) {
    await client.kv.txn({
      success: Array.from({ length: 100 }, (_, j) => ({
        request_put: {
          key: Buffer.from(`${prefix}${String(i + j).padStart(5, '0')}`),
          value: Buffer.from('1'),
        },
      })),
    });
  }
  await view.start();
  t.is(view.entries.size, count);
  t.deepEqual(shown(view), await truth(client, prefix));
});

behavior('more than fits one answer is listed in smaller pages', async (t, client, etcd) => {
  const { view, prefix } = open(t, openConnection(t, etcd.endpoint));
  const value = 'x'.repeat(1024 * 1024);
  const count = 70;
  for (let i = 0; i < count; i++) {
    await put(client, `${prefix}${i}`, value);
  }
  await view.start();
  t.is(view.entries.size, count);
  await Promise.all([...view.entries.keys()].map((name) => remove(client, prefix + name)));
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
  t.is(junk[0]?.key, `${prefix}from-start`);
  t.true(junk.length <= 3, 'at most a line for each, and a line a second');
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
      if (i % 10 === 0) {
        await remove(client, `${prefix}k${i % 3}`);
      }
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
