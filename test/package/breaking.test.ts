import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { startProcess } from '../support/process.js';
import { repository } from '../support/repository.js';
import { scratchDirectory } from './scratch.js';

/** What `npm run breaking` says of the .proto files after this change of one of them. */
async function breaking(t: ExecutionContext, change: (text: string) => string) {
  const directory = await scratchDirectory(t);
  await cp(join(repository, 'proto'), directory, {
    recursive: true,
    filter: (path) => !path.includes('/generated'),
  });
  const path = join(directory, 'holdfast/v1/selection.proto');
  const text = await readFile(path, 'utf8');
  await writeFile(path, change(text));
  const buf = join(repository, 'node_modules/.bin/buf');
  const child = await startProcess(t, buf, ['breaking', '--against', 'released.binpb'], { cwd: directory });
  return { ...(await child.exited), output: child.output };
}

test('the .proto files break no client of the last release', async (t) => {
  const { code, output } = await breaking(t, (text) => text);
  t.is(code, 0, output);
});

test('a field that was taken away, or has another type, is noticed', async (t) => {
  const removed = await breaking(t, (text) => text.replace(/^ {2}bool released = 7;$/m, ''));
  t.not(removed.code, 0);
  t.regex(removed.output, /field "7" with name "released" on message "Binding" was deleted/);
  const retyped = await breaking(t, (text) =>
    text.replace('uint32 ttl_seconds = 5', 'string ttl_seconds = 5'),
  );
  t.not(retyped.code, 0);
  t.regex(retyped.output, /ttl_seconds.* changed type/);
});

test('a field that is new is no break', async (t) => {
  const { code, output } = await breaking(t, (text) =>
    text.replace('bool released = 7;', 'bool released = 7;\n  string added = 99;'),
  );
  t.is(code, 0, output);
});
