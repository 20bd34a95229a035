import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { readBootId } from '../../../services/runtime/boot-id.js';
import { systemClock } from '../../../services/runtime/clock.js';

const modules = ['boot-id.js', 'clock.js'].map((name) =>
  JSON.stringify(fileURLToPath(new URL(`../../../services/runtime/${name}`, import.meta.url))),
);
const program = `
  const [{ readBootId }, { systemClock }] = await Promise.all([${modules.map((path) => `import(${path})`)}]);
  console.log(JSON.stringify({ bootId: readBootId(), monotonicMs: systemClock.monotonicMs() }));
`;

/** What another process of this host reads. */
function elsewhere(): { readonly bootId: string; readonly monotonicMs: number } {
  const args = ['--input-type=module', '--eval', program];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' }));
}

test('all processes of a host read one boot id and one monotonic clock', (t) => {
  const before = systemClock.monotonicMs();
  const { bootId, monotonicMs } = elsewhere();
  const after = systemClock.monotonicMs();
  t.is(bootId, readBootId());
  t.true(before < monotonicMs && monotonicMs < after, `${before} < ${monotonicMs} < ${after}`);
});

test('Linux has a boot id', (t) => {
  const isLinux = existsSync('/proc/sys/kernel/random/boot_id');
  t.regex(readBootId(), isLinux ? /^[0-9a-f-]{36}$/ : /^$/);
});
