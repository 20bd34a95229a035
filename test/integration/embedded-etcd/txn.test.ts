import type { ICompare, IRequestOp, ITxnRequest } from 'etcd3';
import { behaviors } from '../../support/etcd.js';

const behavior = behaviors();
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const put = (name: string, value = ''): IRequestOp => ({
  request_put: { key: bytes(name), value: bytes(value) },
});
const get = (name: string): IRequestOp => ({ request_range: { key: bytes(name) } });
const remove = (name: string, end?: string): IRequestOp => ({
  request_delete_range:
    end === undefined ? { key: bytes(name) } : { key: bytes(name), range_end: bytes(end) },
});
const nested = (request_txn: ITxnRequest): IRequestOp => ({ request_txn });

const duplicate = '3 INVALID_ARGUMENT: etcdserver: duplicate key given in txn request';
const tooMany = '3 INVALID_ARGUMENT: etcdserver: too many operations in txn request';

behavior('all writes of a transaction are one revision, in order', async (t, { kv }) => {
  const { header } = await kv.put({ key: bytes('one/0') });
  const reply = await kv.txn({
    success: [get('one/1'), put('one/1', 'a'), get('one/1'), remove('one/0'), remove('one/missing')],
  });
  const before = header.revision;
  const after = String(Number(before) + 1);
  t.true(reply.succeeded);
  t.is(reply.header.revision, after);
  t.deepEqual(
    reply.responses.map((one) => {
      const [name, body] = Object.entries(one)[0] as [string, typeof reply];
      return [name, body.header.revision];
    }),
    [
      ['response_range', before],
      ['response_put', after],
      ['response_range', after],
      ['response_delete_range', after],
      ['response_delete_range', after],
    ],
  );
  t.is(reply.responses[0]?.response_range.count, '0');
  t.is(reply.responses[2]?.response_range.count, '1');
  t.is(reply.responses[3]?.response_delete_range.deleted, '1');
  t.like((await kv.range({ key: bytes('one/1') })).kvs[0], { mod_revision: after });
});

behavior('a transaction that writes nothing makes no revision', async (t, { kv }) => {
  const { header } = await kv.put({ key: bytes('ro') });
  t.is((await kv.txn({})).header.revision, header.revision);
  t.is((await kv.txn({ success: [get('ro'), remove('ro/missing')] })).header.revision, header.revision);
});

behavior('every comparison by every target', async (t, { kv, leaseClient }) => {
  const { ID } = await leaseClient.leaseGrant({ TTL: 600, ID: 50 });
  const created = await kv.put({ key: bytes('cmp'), value: bytes('m') });
  const changed = await kv.put({ key: bytes('cmp'), value: bytes('m'), lease: ID });
  const holds = async (compare: ICompare) =>
    (await kv.txn({ compare: [{ key: bytes('cmp'), ...compare }] })).succeeded;
  const cases: [ICompare, ICompare, ICompare][] = [
    [
      { target: 'Version', version: 1 },
      { target: 'Version', version: 2 },
      { target: 'Version', version: 3 },
    ],
    [
      { target: 'Value', value: bytes('l\xff') },
      { target: 'Value', value: bytes('m') },
      { target: 'Value', value: bytes('m\0') },
    ],
    [
      { target: 'Lease', lease: 49 },
      { target: 'Lease', lease: 50 },
      { target: 'Lease', lease: 51 },
    ],
  ];
  const create = Number(created.header.revision);
  const mod = Number(changed.header.revision);
  cases.push([-1, 0, 1].map((by) => ({ target: 'Create', create_revision: create + by })) as never);
  cases.push([-1, 0, 1].map((by) => ({ target: 'Mod', mod_revision: mod + by })) as never);
  for (const sides of cases) {
    for (const [side, compare] of sides.entries()) {
      const label = `${compare.target} ${side}`;
      t.is(await holds({ ...compare, result: 'Equal' }), side === 1, `${label} Equal`);
      t.is(await holds({ ...compare, result: 'NotEqual' }), side !== 1, `${label} NotEqual`);
      t.is(await holds({ ...compare, result: 'Greater' }), side === 0, `${label} Greater`);
      t.is(await holds({ ...compare, result: 'Less' }), side === 2, `${label} Less`);
    }
  }
});

behavior('a missing key compares as zeros, but never by value', async (t, { kv }) => {
  const key = bytes('cmp/missing');
  const holds = async (compare: ICompare) => (await kv.txn({ compare: [{ key, ...compare }] })).succeeded;
  t.true(await holds({ target: 'Version', result: 'Equal', version: 0 }));
  t.true(await holds({ target: 'Create', result: 'Equal', create_revision: 0 }));
  t.true(await holds({ target: 'Mod', result: 'Less', mod_revision: 1 }));
  t.true(await holds({ target: 'Lease', result: 'Equal', lease: 0 }));
  t.false(await holds({ target: 'Value', result: 'Equal', value: bytes('') }));
  t.false(await holds({ target: 'Value', result: 'NotEqual', value: bytes('x') }));
});

behavior('a comparison over a range must hold for every key', async (t, { kv }) => {
  for (const name of ['all/1', 'all/2']) {
    await kv.put({ key: bytes(name), value: bytes('x') });
  }
  const range: ICompare = { key: bytes('all/'), range_end: bytes('all0'), result: 'Equal' };
  t.true((await kv.txn({ compare: [{ ...range, target: 'Value', value: bytes('x') }] })).succeeded);
  await kv.put({ key: bytes('all/2'), value: bytes('y') });
  t.false((await kv.txn({ compare: [{ ...range, target: 'Value', value: bytes('x') }] })).succeeded);
});

behavior('create if absent, else read: alone and many at once', async (t, { kv }) => {
  const claim = (name: string, value: string): ITxnRequest => ({
    compare: [{ key: bytes(name), target: 'Create', result: 'Equal', create_revision: 0 }],
    success: [put(name, value)],
    failure: [get(name)],
  });
  t.true((await kv.txn(claim('claim/1', 'first'))).succeeded);
  const second = await kv.txn(claim('claim/1', 'second'));
  t.false(second.succeeded);
  t.like(second.responses[0]?.response_range.kvs[0], { value: bytes('first') });

  const names = Array.from({ length: 127 }, (_, index) => `claim/${index}`);
  const many = await kv.txn({ success: names.map((name) => nested(claim(name, 'batch'))) });
  const won = many.responses.filter(({ response_txn }) => response_txn.succeeded);
  t.is(won.length, 126);
  const revisions = new Set(
    (await kv.range({ key: bytes('claim/'), range_end: bytes('claim0') })).kvs
      .filter(({ value }) => value.equals(bytes('batch')))
      .map(({ mod_revision }) => mod_revision),
  );
  t.deepEqual([...revisions], [many.header.revision]);
});

behavior('the guards of all levels look at the state before the transaction', async (t, { kv }) => {
  const guarded = nested({
    compare: [{ key: bytes('before'), target: 'Version', result: 'Equal', version: 0 }],
    success: [get('before')],
  });
  const { responses } = await kv.txn({ success: [put('before'), guarded] });
  t.true(responses[1]?.response_txn.succeeded);
  t.is(responses[1]?.response_txn.responses[0]?.response_range.count, '1');
});

behavior('a key must not be written twice', async (t, { kv }) => {
  const refused = async (success: IRequestOp[]) => t.throwsAsync(kv.txn({ success }), { message: duplicate });
  await refused([put('dup/a'), put('dup/a')]);
  await refused([put('dup/b'), remove('dup/b')]);
  await refused([remove('dup/', 'dup0'), put('dup/a')]);
  await refused([put('dup/a'), nested({ success: [put('dup/a')] })]);
  await refused([nested({ success: [put('dup/a')] }), nested({ failure: [put('dup/a')] })]);
  await refused([nested({ success: [remove('dup/', 'dup0')] }), nested({ success: [put('dup/a')] })]);
  await t.notThrowsAsync(kv.txn({ success: [put('dup/a')], failure: [put('dup/a')] }));
  await t.notThrowsAsync(
    kv.txn({ success: [nested({ success: [put('dup/a')], failure: [put('dup/a')] }), remove('dup/b')] }),
  );
  await t.notThrowsAsync(kv.txn({ success: [remove('dup/a'), remove('dup/', 'dup0')] }));
});

behavior('128 operations per level, less those of the levels above', async (t, { kv }) => {
  const gets = (count: number) => Array.from({ length: count }, () => get('ops'));
  await t.notThrowsAsync(kv.txn({ success: gets(128), failure: gets(128) }));
  await t.throwsAsync(kv.txn({ success: gets(129) }), { message: tooMany });
  await t.throwsAsync(kv.txn({ failure: gets(129) }), { message: tooMany });
  const compare = Array.from({ length: 129 }, (): ICompare => ({ key: bytes('ops'), result: 'Equal' }));
  await t.throwsAsync(kv.txn({ compare }), { message: tooMany });
  await t.notThrowsAsync(kv.txn({ success: [nested({ success: gets(127) })] }));
  await t.throwsAsync(kv.txn({ success: [nested({ success: gets(128) })] }), { message: tooMany });
  await t.throwsAsync(kv.txn({ success: [...gets(126), nested({ success: gets(3) })] }), {
    message: tooMany,
  });
  await t.notThrowsAsync(kv.txn({ success: [...gets(125), nested({ success: gets(2) })] }));
});

behavior('what can fail fails before anything is written', async (t, { kv }) => {
  const { header } = await kv.put({ key: bytes('atomic') });
  const withUnknownLease = { request_put: { key: bytes('atomic/2'), lease: 987_654_321 } };
  const leaseNotFound = /5 NOT_FOUND: etcdserver: requested lease not found/;
  await t.throwsAsync(kv.txn({ success: [put('atomic/1'), withUnknownLease] }), { message: leaseNotFound });
  const future = { request_range: { key: bytes('atomic'), revision: Number(header.revision) + 5 } };
  const futureRevision = '11 OUT_OF_RANGE: etcdserver: mvcc: required revision is a future revision';
  await t.throwsAsync(kv.txn({ success: [put('atomic/1'), future] }), { message: futureRevision });
  const keyNotFound = '3 INVALID_ARGUMENT: etcdserver: key not found';
  await t.throwsAsync(kv.txn({ success: [put('atomic/1'), {}] }), { message: keyNotFound });
  const keyMissing = '3 INVALID_ARGUMENT: etcdserver: key is not provided';
  await t.throwsAsync(kv.txn({ success: [put('')] }), { message: keyMissing });
  await t.throwsAsync(kv.txn({ compare: [{ target: 'Version' }] }), { message: keyMissing });
  t.is((await kv.range({ key: bytes('atomic/1') })).header.revision, header.revision);
});
