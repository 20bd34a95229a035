import { behaviors } from '../../support/etcd.js';

const behavior = behaviors();
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const compacted = '11 OUT_OF_RANGE: etcdserver: mvcc: required revision has been compacted';
const future = '11 OUT_OF_RANGE: etcdserver: mvcc: required revision is a future revision';

behavior('an empty server is at revision 1', async (t, { kv }) => {
  t.is((await kv.range({ key: bytes('x') })).header.revision, '1');
});

behavior('revision 0 can be compacted once, while nothing was', async (t, { kv }) => {
  await t.notThrowsAsync(kv.compact({ revision: 0 }));
  await t.throwsAsync(kv.compact({ revision: 0 }), { message: compacted });
  await t.throwsAsync(kv.compact({ revision: -1 }), { message: compacted });
});

behavior('a range at an old revision sees what was there then', async (t, { kv }) => {
  const key = bytes('old/a');
  const range = { key: bytes('old/'), range_end: bytes('old0') };
  const revisions = [
    (await kv.put({ key, value: bytes('1') })).header.revision,
    (await kv.put({ key, value: bytes('2') })).header.revision,
    (await kv.put({ key: bytes('old/b') })).header.revision,
    (await kv.deleteRange({ key })).header.revision,
    (await kv.put({ key, value: bytes('3') })).header.revision,
  ];
  const seen: string[] = [];
  for (const revision of revisions) {
    const { kvs, header } = await kv.range({ ...range, revision });
    t.is(header.revision, String(revisions.at(-1)));
    seen.push(kvs.map((one) => `${one.key}=${one.value}v${one.version}`).join());
  }
  const first = Number(revisions[0]);
  t.is((await kv.range({ ...range, revision: first - 1 })).count, '0');
  t.deepEqual(seen, ['old/a=1v1', 'old/a=2v2', 'old/a=2v2,old/b=v1', 'old/b=v1', 'old/a=3v1,old/b=v1']);
  await t.throwsAsync(kv.range({ ...range, revision: Number(revisions.at(-1)) + 1 }), { message: future });
});

behavior('compaction forgets what came before, and only that', async (t, { kv }) => {
  const key = bytes('compact');
  for (const value of ['1', '2', '3']) {
    await kv.put({ key, value: bytes(value) });
  }
  const { header } = await kv.put({ key, value: bytes('4') });
  const last = Number(header.revision);
  await kv.compact({ revision: last - 1, physical: true });
  await t.throwsAsync(kv.range({ key, revision: last - 2 }), { message: compacted });
  t.like((await kv.range({ key, revision: last - 1 })).kvs[0], { value: bytes('3'), version: '3' });
  t.like((await kv.range({ key })).kvs[0], { value: bytes('4'), version: '4' });
  await t.throwsAsync(kv.compact({ revision: last - 1 }), { message: compacted });
  await t.throwsAsync(kv.compact({ revision: last + 1 }), { message: future });
  await t.throwsAsync(kv.txn({ success: [{ request_range: { key, revision: last - 2 } }] }), {
    message: compacted,
  });
});

behavior('a key deleted before the compaction starts anew', async (t, { kv }) => {
  const key = bytes('reborn');
  await kv.put({ key });
  const { header } = await kv.deleteRange({ key });
  await kv.compact({ revision: header.revision });
  t.is((await kv.range({ key, revision: header.revision })).count, '0');
  await kv.put({ key, value: bytes('again') });
  t.like((await kv.range({ key })).kvs[0], { version: '1' });
});
