import { randomBytes } from 'node:crypto';
import { behaviors } from '../../support/etcd.js';

const behavior = behaviors();
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

behavior('each put is one revision; deleting starts a key anew', async (t, { kv }) => {
  const key = bytes('p');
  const first = await kv.put({ key });
  const second = await kv.put({ key });
  t.is(Number(second.header.revision), Number(first.header.revision) + 1);
  const deleted = await kv.deleteRange({ key });
  t.is(deleted.deleted, '1');
  t.is(Number(deleted.header.revision), Number(second.header.revision) + 1);
  const again = await kv.put({ key });
  const { kvs } = await kv.range({ key });
  t.like(kvs[0], {
    version: '1',
    create_revision: again.header.revision,
    mod_revision: again.header.revision,
  });
});

behavior('keys and values are bytes', async (t, { kv }) => {
  const key = Buffer.concat([bytes('bin/'), Buffer.from(Array.from({ length: 256 }, (_, index) => index))]);
  const value = randomBytes(100_000);
  await kv.put({ key, value });
  const { kvs } = await kv.range({ key });
  t.true(kvs[0]?.key.equals(key));
  t.true(kvs[0]?.value.equals(value));
});

behavior('deleting nothing makes no revision', async (t, { kv }) => {
  const { header } = await kv.put({ key: bytes('n') });
  const reply = await kv.deleteRange({ key: bytes('n/missing') });
  t.like(reply, { deleted: '0', prev_kvs: [], header: { revision: header.revision } });
});

behavior('deleting a range is one revision and returns what was there', async (t, { kv }) => {
  for (const name of ['d/1', 'd/2', 'd/3']) {
    await kv.put({ key: bytes(name), value: bytes(name) });
  }
  const before = (await kv.range({ key: bytes('d/'), range_end: bytes('d0') })).kvs;
  const reply = await kv.deleteRange({ key: bytes('d/'), range_end: bytes('d0'), prev_kv: true });
  t.is(reply.deleted, '3');
  t.deepEqual(reply.prev_kvs, before);
  t.is(Number(reply.header.revision), Number(before[2]?.mod_revision) + 1);
  t.is((await kv.range({ key: bytes('d/'), range_end: bytes('d0') })).count, '0');
});

behavior('an open-ended deletion takes all keys from there on', async (t, { kv }) => {
  for (const name of ['\xfe1', '\xfe2', '\xff']) {
    await kv.put({ key: bytes(name) });
  }
  t.is((await kv.deleteRange({ key: bytes('\xfe2'), range_end: bytes('\0') })).deleted, '2');
  t.is((await kv.deleteRange({ key: bytes('\xfe1') })).deleted, '1');
});

behavior('a put returns the previous pair on request', async (t, { kv }) => {
  const key = bytes('prev');
  t.is((await kv.put({ key, value: bytes('1'), prev_kv: true })).prev_kv, null as never);
  const { prev_kv } = await kv.put({ key, value: bytes('2'), prev_kv: true });
  t.like(prev_kv, { key, value: bytes('1'), version: '1' });
});

behavior('ignore_value and ignore_lease keep what is there', async (t, { kv, leaseClient }) => {
  const { ID } = await leaseClient.leaseGrant({ TTL: 600 });
  const key = bytes('ignore');
  await kv.put({ key, value: bytes('kept'), lease: ID });
  await kv.put({ key, ignore_value: true, lease: 0 });
  t.like((await kv.range({ key })).kvs[0], { value: bytes('kept'), lease: '0', version: '2' });
  await kv.put({ key, value: bytes('new'), lease: ID });
  await kv.put({ key, value: bytes('newer'), ignore_lease: true });
  t.like((await kv.range({ key })).kvs[0], { value: bytes('newer'), lease: ID, version: '4' });
});

behavior('bad puts and deletions are refused and change nothing', async (t, { kv }) => {
  const { header } = await kv.put({ key: bytes('bad') });
  const refused = async (request: Parameters<typeof kv.put>[0], message: string | RegExp) =>
    t.throwsAsync(kv.put(request), { message });
  await refused({ value: bytes('1') }, '3 INVALID_ARGUMENT: etcdserver: key is not provided');
  const unknownLease = { key: bytes('bad'), lease: '123456789' };
  await refused(unknownLease, /5 NOT_FOUND: etcdserver: requested lease not found/);
  const missing = { key: bytes('bad/missing'), ignore_value: true };
  await refused(missing, '3 INVALID_ARGUMENT: etcdserver: key not found');
  const both = { key: bytes('bad'), value: bytes('1'), ignore_value: true };
  await refused(both, '3 INVALID_ARGUMENT: etcdserver: value is provided');
  const bothLeases = { key: bytes('bad'), lease: 5, ignore_lease: true };
  await refused(bothLeases, '3 INVALID_ARGUMENT: etcdserver: lease is provided');
  await t.throwsAsync(kv.deleteRange({}), { message: '3 INVALID_ARGUMENT: etcdserver: key is not provided' });
  t.is((await kv.range({ key: bytes('bad') })).header.revision, header.revision);
});

behavior('a request above 1.5 MiB is refused', async (t, { kv }) => {
  const key = bytes('large');
  await kv.put({ key, value: randomBytes(1.5 * 1024 * 1024 - 100) });
  const tooLarge = '3 INVALID_ARGUMENT: etcdserver: request is too large';
  await t.throwsAsync(kv.put({ key, value: randomBytes(1.6 * 1024 * 1024) }), { message: tooLarge });
  const halves = ['1', '2'].map((name) => ({
    request_put: { key: bytes(`large/${name}`), value: randomBytes(0.8 * 1024 * 1024) },
  }));
  await t.throwsAsync(kv.txn({ success: halves }), { message: tooLarge });
  await t.throwsAsync(kv.put({ key, value: randomBytes(3 * 1024 * 1024) }), {
    message: /^8 RESOURCE_EXHAUSTED: /,
  });
});
