import { startRealEtcd } from '../../support/etcd.js';
import { testWith } from '../../support/requirement.js';
import { type LogLine, logged, logOf, startRelayNode, startReplica } from '../../support/stack.js';

const warnings = (lines: readonly LogLine[]) =>
  lines.filter(({ level }) => level >= 40).map(({ msg }) => msg);
const ends = (lines: readonly LogLine[]) => lines.filter(({ msg }) => msg === 'etcd answers again').length;

testWith(['etcd'], 'an outage of etcd is one line of each process, and one when it ends', async (t) => {
  const etcd = await startRealEtcd(t);
  const replica = await startReplica(t, etcd.endpoint);
  const node = await startRelayNode(t, { id: 'r1', etcd: etcd.endpoint });
  await logged(replica.process, 'relay joined');

  await etcd.kill();
  await logged(replica.process, 'etcd lost: known calls are answered from memory');
  const line = await logged(node.process, 'cannot reach etcd; trying again');
  t.regex(String(line['reason']), /^14 UNAVAILABLE/);
  // The lease of the relay has run out by then, and that of the replica's settings.
  await node.process.waitUntil(
    async () => (await (await fetch(`http://${node.http}/readyz`)).text()).includes('not registered'),
    'end of the registration',
  );
  await etcd.restart();
  await logged(replica.process, 'etcd answers again');
  await logged(node.process, 'etcd answers again');
  t.deepEqual(warnings(logOf(replica.process)), ['etcd lost: known calls are answered from memory']);
  t.deepEqual(warnings(logOf(node.process)), ['cannot reach etcd; trying again']);
  t.deepEqual([ends(logOf(replica.process)), ends(logOf(node.process))], [1, 1]);
});
