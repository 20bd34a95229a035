import type { IRangeRequest } from 'etcd3';
import { behaviors } from '../../support/etcd.js';

const behavior = behaviors();
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const nothing = { count: '0', kvs: [], more: false };

behavior('a missing key is an empty answer', async (t, { kv }) => {
  t.like(await kv.range({ key: bytes('missing') }), nothing);
});

behavior('a key comes back with its revisions, version, value and lease', async (t, { kv, leaseClient }) => {
  const { ID } = await leaseClient.leaseGrant({ TTL: 600 });
  const created = await kv.put({ key: bytes('one'), value: bytes('1') });
  const changed = await kv.put({ key: bytes('one'), value: bytes('2'), lease: ID });
  const { kvs, count, more, header } = await kv.range({ key: bytes('one') });
  t.is(count, '1');
  t.false(more);
  t.is(header.revision, changed.header.revision);
  t.deepEqual(kvs, [
    {
      key: bytes('one'),
      value: bytes('2'),
      create_revision: created.header.revision,
      mod_revision: changed.header.revision,
      version: '2',
      lease: ID,
    },
  ]);
});

behavior('range ends are not included and bound bytewise', async (t, { kv }) => {
  for (const name of ['r/a', 'r/a\0', 'r/b', 'r/\x7f', 'r/\x80', 'r/\xff', 'r0']) {
    await kv.put({ key: bytes(name) });
  }
  const names = async (request: IRangeRequest) =>
    (await kv.range(request)).kvs.map(({ key }) => key.toString('latin1'));
  t.deepEqual(await names({ key: bytes('r/a'), range_end: bytes('r/b') }), ['r/a', 'r/a\0']);
  const all = ['r/a', 'r/a\0', 'r/b', 'r/\x7f', 'r/\x80', 'r/\xff'];
  t.deepEqual(await names({ key: bytes('r/'), range_end: bytes('r0') }), all);
  t.deepEqual(await names({ key: bytes('r/\x80'), range_end: bytes('\0') }), ['r/\x80', 'r/\xff', 'r0']);
  t.deepEqual(await names({ key: bytes('r/b'), range_end: bytes('r/a') }), []);
  t.deepEqual(await names({ key: bytes('r/b'), range_end: bytes('r/b') }), []);
  const { count } = await kv.range({ key: bytes('\0'), range_end: bytes('\0'), count_only: true });
  t.true(Number(count) >= 7);
});

behavior('an empty range_end that was sent means "no end"', async (t, { kv }) => {
  for (const name of ['zz/1', 'zz/2']) {
    await kv.put({ key: bytes(name) });
  }
  t.is((await kv.range({ key: bytes('zz/1'), range_end: bytes('') })).count, '2');
  t.is((await kv.range({ key: bytes('zz/1') })).count, '1');
});

behavior('limit, more and count', async (t, { kv }) => {
  for (const name of ['l/1', 'l/2', 'l/3']) {
    await kv.put({ key: bytes(name) });
  }
  const all = { key: bytes('l/'), range_end: bytes('l0') };
  t.like(await kv.range({ ...all, limit: 2 }), { count: '3', more: true, kvs: { length: 2 } });
  t.like(await kv.range({ ...all, limit: 3 }), { count: '3', more: false, kvs: { length: 3 } });
  t.like(await kv.range({ ...all, limit: 0 }), { count: '3', more: false, kvs: { length: 3 } });
  t.like(await kv.range({ ...all, limit: -1 }), { count: '3', more: false, kvs: { length: 3 } });
  t.like(await kv.range({ ...all, count_only: true, limit: 1 }), { count: '3', more: false, kvs: [] });
});

behavior('keys_only leaves the values out', async (t, { kv }) => {
  await kv.put({ key: bytes('ko'), value: bytes('long') });
  const { kvs } = await kv.range({ key: bytes('ko'), keys_only: true });
  t.like(kvs[0], { key: bytes('ko'), value: bytes(''), version: '1' });
});

behavior('every order by every target', async (t, { kv }) => {
  const prefix = 'o/';
  for (const [name, value] of [
    ['c', '1'],
    ['a', '3'],
    ['b', '2'],
    ['b', '2'],
    ['b', '2'],
    ['c', '1'],
  ]) {
    await kv.put({ key: bytes(prefix + name), value: bytes(value ?? '') });
  }
  const order = async (
    sort_target: IRangeRequest['sort_target'],
    sort_order: IRangeRequest['sort_order'],
  ) => {
    const request: IRangeRequest = { key: bytes(prefix), range_end: bytes('o0') };
    if (sort_target) {
      request.sort_target = sort_target;
    }
    if (sort_order) {
      request.sort_order = sort_order;
    }
    return (await kv.range(request)).kvs.map(({ key }) => key.toString().slice(prefix.length)).join('');
  };
  t.is(await order('Key', 'None'), 'abc');
  t.is(await order('Key', 'Ascend'), 'abc');
  t.is(await order('Key', 'Descend'), 'cba');
  t.is(await order('Version', 'Ascend'), 'acb');
  t.is(await order('Version', 'Descend'), 'bca');
  t.is(await order('Create', 'Ascend'), 'cab');
  t.is(await order('Create', 'Descend'), 'bac');
  t.is(await order('Mod', 'Ascend'), 'abc');
  t.is(await order('Mod', 'Descend'), 'cba');
  t.is(await order('Value', 'Ascend'), 'cba');
  t.is(await order('Value', 'Descend'), 'abc');
  t.is(await order('Value', 'None'), 'cba', 'a target without an order ascends');
});

behavior('bounds on revisions thin out the keys but not the count', async (t, { kv }) => {
  const revisions: number[] = [];
  for (const name of ['b/1', 'b/2', 'b/3', 'b/1']) {
    revisions.push(Number((await kv.put({ key: bytes(name) })).header.revision));
  }
  const [first = 0, second = 0, third = 0, last = 0] = revisions;
  const names = async (bounds: IRangeRequest) => {
    const { kvs, count } = await kv.range({ key: bytes('b/'), range_end: bytes('b0'), ...bounds });
    t.is(count, '3');
    return kvs.map(({ key }) => key.toString().slice(2)).join('');
  };
  t.is(await names({ min_mod_revision: third }), '13');
  t.is(await names({ max_mod_revision: third }), '23');
  t.is(await names({ min_create_revision: second }), '23');
  t.is(await names({ max_create_revision: first }), '1');
  t.is(await names({ min_mod_revision: last, max_create_revision: first }), '1');
  t.is(await names({ min_mod_revision: second, limit: 1 }), '1');
});

behavior('a range without a key is refused', async (t, { kv }) => {
  const message = '3 INVALID_ARGUMENT: etcdserver: key is not provided';
  await t.throwsAsync(kv.range({}), { message });
  await t.throwsAsync(kv.range({ key: bytes(''), range_end: bytes('\0') }), { message });
});
