import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { CallState } from '../../../../relay-node/media/state/call-state.js';
import { Journal, readJournal } from '../../../../relay-node/media/state/journal.js';
import { silentLogger } from '../../../../services/runtime/log.js';

const life = { bootId: 'boot', instance: 'one', startedAtMs: 7 };

function call(id: string, begun = 1): CallState {
  return { id, createdAtWallMs: 1, begun, dialogs: [] };
}

function scene(t: ExecutionContext) {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-state-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'calls');
  const calls = new Map<string, CallState>();
  const journal = new Journal(path, life, { log: silentLogger, calls: () => calls.values() });
  const set = (id: string, state: CallState | undefined) => {
    if (state) {
      calls.set(id, state);
    } else {
      calls.delete(id);
    }
    journal.note(id, () => calls.get(id));
  };
  return { directory, path, journal, set };
}

test('the next process finds the life and the calls as they were last', async (t) => {
  const { path, journal, set } = scene(t);
  await journal.start();
  set('a', call('a'));
  set('b', call('b'));
  await journal.saved();
  set('a', call('a', 2));
  set('b', undefined);
  await journal.saved();
  t.deepEqual(await readJournal(path, 'boot'), { life: { version: 1, ...life }, calls: [call('a', 2)] });
});

test('nothing is left of another boot, nor after an orderly end, nor at the first start', async (t) => {
  const { path, journal, set } = scene(t);
  t.is(await readJournal(path, 'boot'), undefined);
  await journal.start();
  set('a', call('a'));
  await journal.saved();
  t.is(await readJournal(path, 'another'), undefined);
  await journal.remove();
  t.is(await readJournal(path, 'boot'), undefined);
});

test('a line that was cut off by the end of the process is not read', async (t) => {
  const { path, journal, set } = scene(t);
  await journal.start();
  set('a', call('a'));
  await journal.saved();
  writeFileSync(path, `${readFileSync(path, 'utf8')}{"call":{"id":"b`);
  t.deepEqual((await readJournal(path, 'boot'))?.calls, [call('a')]);
});

test('a file of another form is an error', async (t) => {
  const { path } = scene(t);
  writeFileSync(path, '{"version":2}\n');
  await t.throwsAsync(readJournal(path, 'boot'));
  writeFileSync(path, 'junk\n');
  await t.throwsAsync(readJournal(path, 'boot'));
});

test('the file does not grow with what is over', async (t) => {
  const { path, journal, set } = scene(t);
  await journal.start();
  for (let index = 0; index < 3000; index++) {
    set('a', call('a', index));
    await journal.saved();
  }
  t.true(readFileSync(path, 'utf8').split('\n').length < 1100);
  t.deepEqual((await readJournal(path, 'boot'))?.calls, [call('a', 2999)]);
});

test('a directory that cannot be written fails the start, and later ends the journal', async (t) => {
  const { directory, path, journal, set } = scene(t);
  await journal.start();
  rmSync(directory, { recursive: true });
  for (let index = 0; index < 1500; index++) {
    set('a', call('a', index));
    await journal.saved();
  }
  t.is(await readJournal(path, 'boot'), undefined);
  const another = new Journal(path, life, { log: silentLogger, calls: () => [] });
  await t.throwsAsync(another.start(), { code: 'ENOENT' });
});
