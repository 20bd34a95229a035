import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import test from 'ava';
import { hasEnded, processIdentity } from '../../../services/runtime/process-identity.js';

const isTold = existsSync('/proc/self/stat');

test('this process has not ended', (t) => {
  t.is(processIdentity() !== '', isTold);
  t.false(hasEnded(processIdentity()));
});

test('one that has ended here has, also if another has its id now; of any other that is not known', (t) => {
  const [boot = '', namespace = '', pid = '', start = ''] = processIdentity().split(' ');
  const { pid: gone } = spawnSync(process.execPath, ['-e', '']);
  t.is(hasEnded([boot, namespace, gone, start].join(' ')), isTold);
  t.is(hasEnded([boot, namespace, pid, `${start}1`].join(' ')), isTold);
  for (const unknown of [
    '',
    'junk',
    ['other boot', namespace, gone, start].join(' '),
    [boot, 'pid:[1]', gone, start].join(' '),
  ]) {
    t.false(hasEnded(unknown), unknown);
  }
});
