import { behaviors } from '../../support/etcd.js';

const behavior = behaviors();

behavior('the status names version, leader and revision', async (t, { maintenance, kv }) => {
  const { header } = await kv.put({ key: Buffer.from('status') });
  const status = await maintenance.status();
  t.regex(status.version, /^3\.\d+\.\d+$/);
  t.is(status.leader, status.header.member_id);
  t.is(status.header.revision, header.revision);
  t.deepEqual(status.errors, []);
  t.true(Number(status.dbSize) > 0);
});

behavior('one member, which is the one that answers', async (t, { cluster }) => {
  const { header, members } = await cluster.memberList({});
  t.is(members.length, 1);
  t.is(members[0]?.ID, header.member_id);
  t.regex(members[0]?.clientURLs[0] ?? '', /^http:\/\/127\.0\.0\.1:\d+$/);
});

behavior('every header carries the same cluster and member', async (t, { kv, leaseClient }) => {
  const key = Buffer.from('header');
  const replies = [await kv.put({ key }), await kv.range({ key }), await leaseClient.leaseLeases()];
  t.is(
    new Set(replies.map(({ header }) => `${header.cluster_id} ${header.member_id} ${header.raft_term}`)).size,
    1,
  );
  t.not(replies[0]?.header.cluster_id, '0');
});

behavior('no alarms', async (t, { maintenance }) => {
  t.deepEqual((await maintenance.alarm({})).alarms, []);
});

behavior('there are no users to authenticate', async (t, { auth }) => {
  const message = /9 FAILED_PRECONDITION: etcdserver: authentication is not enabled/;
  await t.throwsAsync(auth.authenticate({ name: 'root', password: 'x' }), { message });
});
