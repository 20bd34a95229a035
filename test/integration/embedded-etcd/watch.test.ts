import type { ExecutionContext } from 'ava';
import type { Etcd3, IWatchCreateRequest, IWatchResponse } from 'etcd3';
import { behaviors, Inbox } from '../../support/etcd.js';

const behavior = behaviors();
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const prefix = (name: string): IWatchCreateRequest => ({
  key: bytes(`${name}/`),
  range_end: bytes(`${name}0`),
});

async function open(t: ExecutionContext, client: Etcd3) {
  const stream = await client.watchClient.watch();
  t.teardown(() => stream.end());
  const inbox = new Inbox<IWatchResponse>(stream);
  const next = () => inbox.next();
  return {
    next,
    pending: () => inbox.pending,
    send: (request: Parameters<typeof stream.write>[0]) => stream.write(request),
    create: (create_request: IWatchCreateRequest) => {
      stream.write({ create_request });
      return next();
    },
  };
}

/** "+key=value" or "-key", and what was there before in brackets. */
const brief = ({ events }: IWatchResponse): string =>
  events
    .map(({ type, kv, prev_kv }) => {
      const before = prev_kv ? `[${prev_kv.value}]` : '';
      return type === 'Put' ? `+${kv.key}=${kv.value}${before}` : `-${kv.key}${before}`;
    })
    .join(' ');

behavior('a watcher receives a confirmation, then each revision', async (t, client) => {
  const watch = await open(t, client);
  const { header } = await client.kv.put({ key: bytes('w/0') });
  const created = await watch.create(prefix('w'));
  t.like(created, { created: true, canceled: false, watch_id: '0', events: [] });
  t.is(created.header.revision, header.revision);
  await client.kv.put({ key: bytes('w/1'), value: bytes('a') });
  await client.kv.put({ key: bytes('x/1'), value: bytes('not asked for') });
  await client.kv.deleteRange({ key: bytes('w/1') });
  const put = await watch.next();
  t.is(brief(put), '+w/1=a');
  t.is(put.header.revision, put.events[0]?.kv.mod_revision ?? '');
  t.like(put.events[0], { kv: { version: '1' }, prev_kv: null });
  const deletion = await watch.next();
  t.is(brief(deletion), '-w/1');
  const { kv } = deletion.events[0] ?? {};
  t.like(kv, { version: '0', create_revision: '0', lease: '0', mod_revision: deletion.header.revision });
});

behavior('all that a transaction wrote comes in one response', async (t, client) => {
  const watch = await open(t, client);
  await watch.create({ ...prefix('txn'), prev_kv: true });
  await client.kv.put({ key: bytes('txn/a'), value: bytes('1') });
  t.is(brief(await watch.next()), '+txn/a=1');
  await client.kv.txn({
    success: [
      { request_put: { key: bytes('txn/c') } },
      { request_delete_range: { key: bytes('txn/a') } },
      { request_put: { key: bytes('txn/b') } },
    ],
  });
  const response = await watch.next();
  t.is(brief(response), '+txn/c= -txn/a[1] +txn/b=');
  t.is(new Set(response.events.map(({ kv }) => kv.mod_revision)).size, 1);
});

behavior('a single key is watched alone', async (t, client) => {
  const watch = await open(t, client);
  await watch.create({ key: bytes('single') });
  await client.kv.put({ key: bytes('single/1') });
  await client.kv.put({ key: bytes('single'), value: bytes('1') });
  t.is(brief(await watch.next()), '+single=1');
});

behavior('a watcher can start in the past and goes on into the present', async (t, client) => {
  const key = bytes('past/1');
  const { header } = await client.kv.put({ key, value: bytes('1') });
  await client.kv.put({ key, value: bytes('2') });
  await client.kv.deleteRange({ key });
  const watch = await open(t, client);
  await watch.create({ ...prefix('past'), start_revision: header.revision, prev_kv: true });
  const past = await watch.next();
  t.is(brief(past), '+past/1=1 +past/1=2[1] -past/1[2]');
  await client.kv.put({ key, value: bytes('3') });
  t.is(brief(await watch.next()), '+past/1=3');
});

behavior('a watcher can start in the future', async (t, client) => {
  const { header } = await client.kv.put({ key: bytes('future/0') });
  const watch = await open(t, client);
  await watch.create({ ...prefix('future'), start_revision: Number(header.revision) + 2 });
  await client.kv.put({ key: bytes('future/1') });
  await client.kv.put({ key: bytes('future/2') });
  t.is(brief(await watch.next()), '+future/2=');
});

behavior('filters leave out puts or deletions', async (t, client) => {
  const watch = await open(t, client);
  await watch.create({ ...prefix('filter'), filters: ['Noput'] });
  await watch.create({ ...prefix('filter'), filters: ['Nodelete'] });
  await client.kv.put({ key: bytes('filter/1') });
  await client.kv.deleteRange({ key: bytes('filter/1') });
  const [first, second] = [await watch.next(), await watch.next()];
  t.deepEqual([first.watch_id, brief(first)], ['1', '+filter/1=']);
  t.deepEqual([second.watch_id, brief(second)], ['0', '-filter/1']);
});

behavior('watchers of one stream are numbered and canceled one by one', async (t, client) => {
  const watch = await open(t, client);
  t.is((await watch.create({ key: bytes('ids') })).watch_id, '0');
  t.is((await watch.create({ key: bytes('ids'), watch_id: 7 })).watch_id, '7');
  t.is((await watch.create({ key: bytes('ids') })).watch_id, '1');
  t.like(await watch.create({ key: bytes('ids'), watch_id: 7 }), {
    created: true,
    canceled: true,
    watch_id: '-1',
    cancel_reason: 'mvcc: duplicate watch ID provided on the WatchStream',
  });
  watch.send({ cancel_request: { watch_id: 99 } }); // unknown: no answer
  watch.send({ cancel_request: { watch_id: 0 } });
  t.like(await watch.next(), { canceled: true, created: false, watch_id: '0', compact_revision: '0' });
  await client.kv.put({ key: bytes('ids') });
  const ids = [(await watch.next()).watch_id, (await watch.next()).watch_id];
  t.deepEqual(ids.sort(), ['1', '7']);
});

behavior('an empty range cannot be watched; no key means the smallest one', async (t, client) => {
  const watch = await open(t, client);
  t.like(await watch.create({ key: bytes('b'), range_end: bytes('a') }), {
    created: true,
    canceled: true,
    watch_id: '-1',
    cancel_reason: 'mvcc: watcher range is empty',
  });
  t.like(await watch.create({ range_end: bytes('\0') }), { created: true, canceled: false });
  await client.kv.put({ key: bytes('anything') });
  t.is(brief(await watch.next()), '+anything=');
});

behavior('progress is reported on request, after all that came before', async (t, client) => {
  const watch = await open(t, client);
  await watch.create(prefix('progress'));
  const { header } = await client.kv.put({ key: bytes('progress/1') });
  t.is(brief(await watch.next()), '+progress/1=');
  watch.send({ progress_request: {} });
  t.like(await watch.next(), { watch_id: '-1', events: [], header: { revision: header.revision } });
});

behavior('a watcher that starts before the compaction is canceled with its revision', async (t, client) => {
  const key = bytes('comp/1');
  const first = await client.kv.put({ key, value: bytes('1') });
  await client.kv.put({ key, value: bytes('2') });
  const { header } = await client.kv.put({ key, value: bytes('3') });
  await client.kv.compact({ revision: header.revision });
  const watch = await open(t, client);
  t.like(await watch.create({ ...prefix('comp'), start_revision: first.header.revision }), {
    created: true,
    canceled: false,
  });
  t.like(await watch.next(), {
    canceled: true,
    created: false,
    compact_revision: header.revision,
    events: [],
    header: { revision: '0' },
    cancel_reason: '',
  });
  t.like(await watch.create({ ...prefix('comp'), start_revision: header.revision, prev_kv: true }), {
    created: true,
  });
  t.is(brief(await watch.next()), '+comp/1=3', 'the revision itself is there, what it replaced is not');
});

behavior('a long past comes complete and in order', async (t, client) => {
  const { header } = await client.kv.put({ key: bytes('long/first') });
  for (let batch = 0; batch < 30; batch++) {
    await Promise.all(
      Array.from({ length: 100 }, (_, index) => client.kv.put({ key: bytes(`long/${batch}/${index}`) })),
    );
  }
  const watch = await open(t, client);
  await watch.create({ ...prefix('long'), start_revision: header.revision });
  const revisions: number[] = [];
  while (revisions.length < 3001) {
    revisions.push(...(await watch.next()).events.map(({ kv }) => Number(kv.mod_revision)));
  }
  const expected = Array.from({ length: 3001 }, (_, index) => Number(header.revision) + index);
  t.deepEqual(revisions, expected);
});

behavior('a large revision is cut only for watchers that request fragments', async (t, client) => {
  const value = Buffer.alloc(600_000, 'x');
  for (const name of ['1', '2', '3', '4']) {
    await client.kv.put({ key: bytes(`frag/${name}`), value });
  }
  const watch = await open(t, client);
  await watch.create({ ...prefix('frag'), prev_kv: true, fragment: true });
  await client.kv.deleteRange({ key: bytes('frag/'), range_end: bytes('frag0') });
  const parts: IWatchResponse[] = [];
  while (parts.length === 0 || parts.at(-1)?.fragment) {
    parts.push(await watch.next());
  }
  t.deepEqual(
    parts.map(({ fragment, events }) => [fragment, events.length]),
    [
      [true, 3],
      [false, 1],
    ],
  );
  const revisions = parts.flatMap(({ events }) => events.map(({ kv }) => kv.mod_revision));
  t.is(new Set(revisions).size, 1);
});

behavior('several streams each see everything', async (t, client) => {
  const streams = await Promise.all([open(t, client), open(t, client), open(t, client)]);
  for (const watch of streams) {
    await watch.create(prefix('fan'));
  }
  await Promise.all(Array.from({ length: 50 }, (_, index) => client.kv.put({ key: bytes(`fan/${index}`) })));
  for (const watch of streams) {
    const keys = new Set<string>();
    while (keys.size < 50) {
      for (const { kv } of (await watch.next()).events) {
        keys.add(String(kv.key));
      }
    }
    t.is(keys.size, 50);
  }
});
