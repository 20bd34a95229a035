import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Directories of system daemons are often not in an ordinary user's PATH. */
const systemDirectories = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

const found = new Map<string, string | undefined>();

/** Programs that may be told by path, to run the tests with another version. */
const chosen: Readonly<Record<string, string | undefined>> = { etcd: process.env['HOLDFAST_TEST_ETCD'] };

/** The program's full path, or undefined when it is not installed. */
export function findProgram(name: string): string | undefined {
  if (!found.has(name)) {
    const directories = [...(process.env['PATH'] ?? '').split(delimiter), ...systemDirectories];
    const candidates = chosen[name] ? [chosen[name]] : directories.map((directory) => join(directory, name));
    found.set(name, candidates.find(isExecutable));
  }
  return found.get(name);
}

export const missingPrograms = (names: readonly string[]): string[] =>
  names.filter((name) => findProgram(name) === undefined);

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
