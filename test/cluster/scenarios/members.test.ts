import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { OwnScope } from '../../support/own-scope.js';
import { startProcess } from '../../support/process.js';
import { repository } from '../../support/repository.js';
import { until } from '../machine/until.js';
import '../stage/end.js';
import { Release } from '../stage/release.js';
import { SelectLoad } from '../stage/select-load.js';

/** A member of the bundled etcd loses its volume, and is brought back as the chart's README says. */

const scope = new OwnScope();
const namespace = 'members';
const member = 'holdfast-etcd-1';
let release: Release;

test.serial.before(async () => {
  release = await Release.prepare(scope, namespace);
  await release.install();
});
test.after.always(async () => {
  await release.uninstall();
  await scope.close();
});

/** The commands of the README, for this namespace. */
function documented(): string {
  const text = readFileSync(join(repository, 'helm/holdfast/README.md'), 'utf8');
  const [, commands = ''] =
    /<!-- test\/cluster\/scenarios\/members.* -->\n\n((?: {4}.*\n)+)/.exec(text) ?? [];
  return commands.replaceAll('-n sip', `-n ${namespace}`).replaceAll('.sip.', `.${namespace}.`);
}

test.serial('a member whose volume is lost is brought back', async (t) => {
  const load = await SelectLoad.start(t, release.target);
  await release.kubectl('delete', 'pvc', `data-${member}`, '--wait=false');
  await release.kubectl('delete', 'pod', member, '--grace-period=0', '--force');
  const said = () => release.kubectl('logs', member).catch(() => '');
  await until(
    async () =>
      /has already been bootstrapped|Was the raft log corrupted, truncated, or lost/.test(await said()),
    'word of the empty member',
    180_000,
  );

  const shell = await startProcess(scope, 'bash', ['-euxc', documented()], { cwd: repository });
  await shell.success(300_000);
  const list = await release.kubectl('exec', member, '--', 'etcdctl', 'member', 'list');
  t.is(list.match(/, started, /g)?.length, 3, list);

  const report = await load.finish();
  t.log(`${report}`);
  t.deepEqual([report.failed, report.moved], [0, 0]);
});
