import { readFile } from 'node:fs/promises';
import test from 'ava';
import { bugs } from '../../simulation/bugs/bugs.js';

test('each fix that a bug takes back is there, exactly once', async (t) => {
  for (const { name, reverts } of bugs) {
    for (const { file, fixed } of reverts) {
      const source = await readFile(new URL(`../../../${file}`, import.meta.url), 'utf8');
      t.is(source.split(fixed).length, 2, `${name}: ${file}: ${fixed}`);
    }
  }
});
