import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/**
 * Why a program cannot be run, or undefined. Whatever has a slash is a path; other names are looked for as a shell does.
 * @param path directories, as in the variable PATH
 */
export function executableProblem(program: string, path = ''): string | undefined {
  const files = program.includes('/') ? [program] : path.split(delimiter).map((each) => join(each, program));
  const found = files.filter(isFile);
  if (found.some(isExecutable)) {
    return undefined;
  }
  return found[0] ? `${found[0]} is not executable` : `no program ${program} is found`;
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
