import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { startProcess } from '../../support/process.js';
import { testWith } from '../../support/requirement.js';
import { holdfast } from '../../support/stack.js';
import { stack, succeeds } from './scene.js';

/** What each shell is started with, and told before it can complete. */
const shells: Readonly<Record<string, { readonly start: string; readonly prepare: string }>> = {
  bash: { start: 'bash --norc --noprofile -i', prepare: '' },
  zsh: { start: 'zsh -f -i', prepare: 'bindkey -e; autoload -U compinit; compinit -D' },
};

/** What is typed, where the tabulator is pressed, and what it becomes. */
const completed: readonly (readonly [typed: string, becomes: string])[] = [
  ['holdfast disab\t', 'holdfast disable'],
  ['holdfast drain --abs\t', 'holdfast drain --absent-ok'],
  ['holdfast relay-node --rtpproxy-l\t', 'holdfast relay-node --rtpproxy-listen'],
  ['holdfast completion fi\t', 'holdfast completion fish'],
  ['holdfast drain f\t', 'holdfast drain f1'],
  ['holdfast bindings --relay f\t', 'holdfast bindings --relay f1'],
  ['holdfast relays --ca /etc/passw\t', 'holdfast relays --ca /etc/passwd'],
];

async function scene(t: ExecutionContext, shell: string) {
  const { grpc } = await stack;
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-completion-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const script = join(directory, 'script');
  await writeFile(script, await succeeds(t, 'completion', shell));
  await symlink(holdfast, join(directory, 'holdfast'));
  const env = {
    HOLDFAST_SERVER: grpc,
    PATH: `${directory}:${process.env['PATH']}`,
    HOME: directory,
    TERM: 'xterm',
  };
  return { script, env };
}

for (const [shell, { start, prepare }] of Object.entries(shells)) {
  testWith([shell, 'script'], `${shell} completes commands, options, relays and files`, async (t) => {
    const { script, env } = await scene(t, shell);
    // The beginning of the line becomes a command that prints what the rest has become.
    const typed = completed.map(([each], at) => `${each}\x01echo ${at}=\n`);
    const input = [prepare, `source ${script}`, ...typed, 'exit 0', ''].join('\n').replaceAll('\n\n', '\n');
    const child = await startProcess(t, 'script', ['-qefc', start, '/dev/null'], { env, input });
    const output = await child.success();
    for (const [at, [, becomes]] of completed.entries()) {
      t.regex(output, new RegExp(`^${at}=${becomes.replaceAll(/[/.]/g, '\\$&')}\\s*$`, 'm'), output);
    }
  });
}

testWith(['fish'], 'fish completes commands, options, relays and files', async (t) => {
  const { script, env } = await scene(t, 'fish');
  for (const [typed, becomes] of completed) {
    const ask = `source ${script}; complete -C '${typed.trimEnd()}'`;
    const child = await startProcess(t, 'fish', ['--no-config', '-c', ask], { env });
    const words = (await child.success()).split('\n').map((line) => line.split('\t')[0]);
    t.true(words.includes(becomes.split(' ').at(-1)), `${typed}: ${words}`);
  }
});
