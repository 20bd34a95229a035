import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { MissingProgram } from '../bench-case.js';

/** Directories of system daemons are often not in an ordinary user's PATH. */
const systemDirectories = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/** @throws MissingProgram if it is not installed */
export function requireProgram(name: string): string {
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), ...systemDirectories];
  const found = directories.map((directory) => join(directory, name)).find(isExecutable);
  if (!found) throw new MissingProgram(name);
  return found;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
