import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { relayNodeSettings } from '../../relay-node/config.js';
import { selectionSettings } from '../../services/replica/config.js';
import type { Setting } from '../../services/runtime/config.js';
import { repository } from '../support/repository.js';

const readme = readFileSync(join(repository, 'README.md'), 'utf8');
const settings: Setting<unknown>[] = [
  ...Object.values(selectionSettings),
  ...Object.values(relayNodeSettings),
];

/** A setting's row in the README, as its table says it. */
function rowOf({ name, flag, fallback, required, description, allowed }: Setting<unknown>): string {
  const otherwise = fallback ? `\`${fallback}\`` : required ? '*required*' : '';
  const shown = flag ? `\`${flag.split(' ')[0]}\`` : '';
  return `| \`${name}\` | ${shown} | ${otherwise} | ${description} | ${allowed} |`;
}

test('the README tells every setting as the programs know it', (t) => {
  for (const setting of settings) {
    t.true(readme.includes(rowOf(setting)), rowOf(setting));
  }
});

test('the README tells no setting that the programs do not know', (t) => {
  const ofTests = ['REQUIRE', 'ETCD', 'RUNS', 'SEED', 'PATH'].map((name) => `TEST_${name}`);
  const others = ['SERVER', 'CA', 'CERT', 'KEY', ...ofTests].map((name) => `HOLDFAST_${name}`);
  const known = new Set([...settings.map(({ name }) => name), ...others]);
  for (const [name] of readme.matchAll(/HOLDFAST_[A-Z_]+[A-Z]/g)) {
    t.true(known.has(name), name);
  }
});

test('what the README links to is there', (t) => {
  for (const [, path = ''] of readme.matchAll(/\]\(([^)#:]+)\)/g)) {
    t.true(existsSync(join(repository, path)), path);
  }
});

/** Blocks of code that follow the name of the file that they are from. */
const shown = [
  ...readme.matchAll(/\]\((test\/clients\/[^)]+)\)[^\n]*:\n\n((?: {4}[^\n]*\n|\n(?= {4}))+)/g),
].map(([, path = '', block = '']) => ({ path, lines: block.trim().split('\n') }));

test('code that the README shows of a file is in that file, line by line', (t) => {
  t.true(shown.length >= 3);
  for (const { path, lines } of shown) {
    const inFile = withoutIndent(readFileSync(join(repository, path), 'utf8').split('\n'));
    t.true(inFile.includes(withoutIndent(lines)), `${path}: ${lines[0]}`);
  }
});

const withoutIndent = (lines: readonly string[]) => lines.map((line) => line.trim()).join('\n');
