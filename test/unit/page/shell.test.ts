import { execFileSync } from 'node:child_process';
import test from 'ava';
import { holdfastCommand } from '../../../services/page/shell.js';

test('a command is as short as it can be', (t) => {
  t.is(holdfastCommand('drain', { set: 'default' }, 'media-1'), 'holdfast drain media-1');
  t.is(holdfastCommand('drain', { set: 'edge' }, 'media-1'), 'holdfast drain --set edge media-1');
  t.is(holdfastCommand('history', {}, '--help'), 'holdfast history -- --help');
});

test('whatever a Call-ID is, a shell reads it as that one word', (t) => {
  for (const callId of [
    'a84b4c76e66710@pc33.example.org',
    "it's",
    '$(reboot) `reboot` "x" \\',
    'two\nlines; reboot',
    "\u001b[31m' \\' \u202e\t",
    '*',
    '~root',
    '#comment',
    'é£ 日本',
    '-n',
  ]) {
    const command = holdfastCommand('history', {}, callId);
    t.false(/[\p{C}\p{Zl}\p{Zp}]/u.test(command), command);
    const script = `holdfast() { printf '%s\\0' "$@"; }; ${command}`;
    const words = execFileSync('bash', ['-c', script], { encoding: 'utf8' }).split('\0').slice(0, -1);
    t.deepEqual(words, ['history', ...(callId.startsWith('-') ? ['--'] : []), callId]);
  }
});
