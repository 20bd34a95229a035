import type { ExecutionContext } from 'ava';
import { startEmbeddedEtcd } from '../../support/etcd.js';
import { startProcess } from '../../support/process.js';
import { findProgram } from '../../support/program.js';
import { testWith } from '../../support/requirement.js';

/** The embedded server as an administrator meets it: through the real etcdctl. */
async function etcdctl(t: ExecutionContext) {
  const { endpoint } = await startEmbeddedEtcd(t);
  const start = (args: readonly string[], input?: string) =>
    startProcess(t, findProgram('etcdctl') ?? 'etcdctl', ['--endpoints', endpoint, ...args], {
      env: { ETCDCTL_API: '3' },
      ...(input === undefined ? {} : { input }),
    });
  const run = async (args: readonly string[], input?: string) => await (await start(args, input)).success();
  return { start, run, endpoint };
}

const leaseId = (output: string): string => /lease (\w+) /.exec(output)?.[1] ?? '';

testWith(['etcdctl'], 'etcdctl: put, get, del', async (t) => {
  const { run } = await etcdctl(t);
  t.is(await run(['put', 'a/1', 'one']), 'OK\n');
  await run(['put', 'a/2', 'two']);
  await run(['put', 'b', 'three']);
  t.is(await run(['get', 'a/1']), 'a/1\none\n');
  t.is(await run(['get', '--prefix', 'a/']), 'a/1\none\na/2\ntwo\n');
  t.is(await run(['get', '--prefix', '', '--print-value-only', '--order=DESCEND']), 'three\ntwo\none\n');
  t.is(await run(['get', '--from-key', 'a/2', '--keys-only']), 'a/2\n\nb\n\n');
  t.is(await run(['get', '--rev=2', '--prefix', '']), 'a/1\none\n');
  t.is(await run(['del', '--prefix', 'a/']), '2\n');
  t.is(await run(['get', '--prefix', '']), 'b\nthree\n');
});

testWith(['etcdctl'], 'etcdctl: watch, now and from the past', async (t) => {
  const { run, start } = await etcdctl(t);
  await run(['put', 'w/1', 'before']);
  const watch = await start(['watch', '--prefix', 'w/', '--rev=2', '--prev-kv']);
  await watch.waitForLine('before');
  await run(['put', 'w/1', 'after']);
  await watch.waitForLine('after');
  await run(['del', 'w/1']);
  await watch.waitForLine('DELETE');
  t.is(watch.stdout, 'PUT\nw/1\nbefore\nPUT\nw/1\nbefore\nw/1\nafter\nDELETE\nw/1\nafter\nw/1\n\n');
});

testWith(['etcdctl'], 'etcdctl: leases', async (t) => {
  const { run, start } = await etcdctl(t);
  const id = leaseId(await run(['lease', 'grant', '100']));
  await run(['put', `--lease=${id}`, 'leased', '1']);
  t.regex(
    await run(['lease', 'timetolive', '--keys', id]),
    /granted with TTL\(100s\), .*attached keys\(\[leased\]\)/,
  );
  t.is(await run(['lease', 'keep-alive', '--once', id]), `lease ${id} keepalived with TTL(100)\n`);
  const keeping = await start(['lease', 'keep-alive', id]);
  await keeping.waitForLine('keepalived with TTL(100)');
  t.is(await run(['lease', 'list']), `found 1 leases\n${id}\n`);
  t.is(await run(['lease', 'revoke', id]), `lease ${id} revoked\n`);
  t.is(await run(['get', 'leased']), '');
  t.regex(await run(['lease', 'timetolive', id]), /already expired/);
});

testWith(['etcdctl'], 'etcdctl: transactions', async (t) => {
  const { run } = await etcdctl(t);
  await run(['put', 'a', '1']);
  const swap = 'value("a") = "1"\n\nput a 2\nget a\n\nget a\n\n';
  t.is(await run(['txn'], swap), 'SUCCESS\n\nOK\n\na\n2\n');
  t.is(await run(['txn'], swap), 'FAILURE\n\na\n2\n');
});

testWith(['etcdctl'], 'etcdctl: endpoint, member and maintenance commands', async (t) => {
  const { run, start, endpoint } = await etcdctl(t);
  t.regex(
    await run(['endpoint', 'status']),
    new RegExp(`^${endpoint}, [0-9a-f]+, 3\\.4\\.23, .* true, false, `),
  );
  const health = await start(['endpoint', 'health']);
  await health.success();
  t.regex(health.output, /is healthy/);
  t.regex(await run(['member', 'list']), new RegExp(`started, embedded, , http://${endpoint}, false`));
  t.is(await run(['alarm', 'list']), '');
  await run(['put', 'a', '1']);
  await run(['put', 'a', '2']);
  t.is(await run(['compaction', '3']), 'compacted revision 3\n');
  const tooOld = await start(['get', '--rev=2', 'a']);
  t.not((await tooOld.exited).code, 0);
  t.regex(tooOld.output, /required revision has been compacted/);
  await run(['defrag']);
});
