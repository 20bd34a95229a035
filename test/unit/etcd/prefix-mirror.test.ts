import { EventEmitter } from 'node:events';
import test, { type ExecutionContext } from 'ava';
import type { IRangeResponse } from 'etcd3';
import type { EtcdConnection } from '../../../services/etcd/connection.js';
import { PrefixMirror } from '../../../services/etcd/prefix-mirror.js';
import { silentLogger } from '../../../services/runtime/log.js';
import { ManualClock, turns } from '../../support/clock.js';

/** An etcd whose lists and watches answer when a test says so, in the order that it says. */
class HeldEtcd {
  readonly lists: ((revision: number, keys: Record<string, number>) => void)[] = [];
  stream = new EventEmitter();

  range(): Promise<IRangeResponse> {
    return new Promise((resolve) => {
      this.lists.push((revision, keys) => {
        const kvs = Object.entries(keys).map(([name, mod]) => keyValue(name, mod));
        resolve({ header: { revision: `${revision}` }, kvs, more: false } as unknown as IRangeResponse);
      });
    });
  }

  watch(): Promise<EventEmitter> {
    const stream = new EventEmitter();
    this.stream = Object.assign(stream, {
      write: () => setImmediate(() => this.#send({ created: true, revision: 0 })),
      cancel: () => setImmediate(() => stream.emit('error', new Error('1 CANCELLED: Cancelled on client'))),
    });
    return Promise.resolve(stream);
  }

  tell(...events: readonly ({ put: string; at: number } | { gone: string; at: number })[]): void {
    this.#send({ created: false, revision: Math.max(...events.map(({ at }) => at)), events });
  }

  #send({ created, revision, events = [] }: Sent): void {
    this.stream.emit('data', {
      created,
      header: { revision: `${revision}` },
      events: events.map((event) =>
        'put' in event
          ? { type: 'Put', kv: keyValue(event.put, event.at) }
          : { type: 'Delete', kv: keyValue(event.gone, event.at) },
      ),
    });
  }
}

interface Sent {
  readonly created: boolean;
  readonly revision: number;
  readonly events?: readonly ({ put: string; at: number } | { gone: string; at: number })[];
}

const keyValue = (name: string, mod: number) => ({
  key: Buffer.from(`/p/${name}`),
  value: Buffer.from(`${mod}`),
  mod_revision: `${mod}`,
});

const open = (etcd: HeldEtcd, told: string[] = []) =>
  new PrefixMirror<string>(
    { connection: etcd as unknown as EtcdConnection, clock: new ManualClock(), log: silentLogger },
    {
      prefix: '/p/',
      decode: (_name, value) => value.toString(),
      onChange: (name, entry) => told.push(`${name}=${entry?.value ?? 'gone'}`),
    },
  );

/** A view that has listed revision 10, with one key, and watches. */
async function live(t: ExecutionContext) {
  const etcd = new HeldEtcd();
  const told: string[] = [];
  const view = open(etcd, told);
  const started = view.start();
  etcd.lists.shift()?.(10, { a: 9 });
  await started;
  await turns();
  t.true(view.live);
  return { etcd, view, told };
}

test('a start is for all who call it, before and after the mirror is complete', async (t) => {
  const etcd = new HeldEtcd();
  const mirror = open(etcd);
  const starts = [mirror.start(), mirror.start()];
  await turns();
  t.is(etcd.lists.length, 1, 'it lists once');
  etcd.lists.shift()?.(10, { a: 9 });
  await Promise.all([...starts, mirror.start()]);
  t.deepEqual([...mirror.entries.keys()], ['a']);
});

test('a start that is stopped before the mirror is complete ends, and tells nothing any more', async (t) => {
  const etcd = new HeldEtcd();
  const told: string[] = [];
  const mirror = open(etcd, told);
  const started = mirror.start();
  await turns();
  const stopped = mirror.stop();
  etcd.lists.shift()?.(10, { a: 9 });
  await Promise.all([started, stopped, mirror.start()]);
  t.deepEqual(told, []);
});

test('a start after the stop ends at once and asks etcd nothing', async (t) => {
  const etcd = new HeldEtcd();
  const mirror = open(etcd);
  await mirror.stop();
  await Promise.all([mirror.start(), mirror.start()]);
  t.deepEqual(etcd.lists, []);
});

test('a refresh that a stop overtakes tells nothing any more', async (t) => {
  const { etcd, view, told } = await live(t);
  const refreshed = view.refresh();
  await turns();
  await view.stop();
  etcd.lists.shift()?.(11, { a: 9, b: 11 });
  await refreshed;
  t.deepEqual(told, ['a=9']);
});

test('a list that was overtaken by the watch does not take the view back', async (t) => {
  const { etcd, view, told } = await live(t);
  const refreshed = view.refresh();
  await turns();
  etcd.tell({ put: 'b', at: 12 }, { gone: 'a', at: 12 });
  etcd.lists.shift()?.(11, { a: 9 });
  await refreshed;
  t.deepEqual(told, ['a=9', 'b=12', 'a=gone']);
  t.deepEqual([...view.entries.keys()], ['b']);
});

test('what a list has told, the watch does not tell again', async (t) => {
  const { etcd, view, told } = await live(t);
  const refreshed = view.refresh();
  await turns();
  etcd.lists.shift()?.(13, { a: 9, b: 13 });
  await refreshed;
  etcd.tell({ put: 'b', at: 11 });
  etcd.tell({ gone: 'b', at: 12 });
  etcd.tell({ put: 'b', at: 13 });
  t.deepEqual(told, ['a=9', 'b=13']);
  etcd.tell({ put: 'a', at: 14 });
  t.deepEqual(told, ['a=9', 'b=13', 'a=14']);
});

test('a refresh is a list that began after the call; callers at the same time share one', async (t) => {
  const { etcd, view } = await live(t);
  const first = view.refresh();
  await turns();
  const [second, third] = [view.refresh(), view.refresh()];
  let done = false;
  void second.then(() => {
    done = true;
  });
  etcd.lists.shift()?.(11, { a: 9 });
  await first;
  await turns();
  t.false(done, 'the list under way possibly does not know what was written before the call');
  t.is(etcd.lists.length, 1);
  etcd.lists.shift()?.(12, { a: 9, b: 12 });
  await Promise.all([second, third]);
  t.true(view.entries.has('b'));
});

test('an etcd that tells an older revision than it told before is believed', async (t) => {
  const { etcd, view, told } = await live(t);
  const refreshed = view.refresh();
  await turns();
  etcd.lists.shift()?.(3, { b: 2 });
  await refreshed;
  t.deepEqual(told, ['a=9', 'a=gone', 'b=2']);
  etcd.tell({ put: 'c', at: 4 });
  t.deepEqual([...view.entries.keys()], ['b', 'c']);
});
