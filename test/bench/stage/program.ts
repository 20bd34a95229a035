import { findProgram } from '../../support/program.js';
import { MissingProgram } from '../bench-case.js';

/** @throws MissingProgram if it is not installed */
export function requireProgram(name: string): string {
  const found = findProgram(name);
  if (found === undefined) throw new MissingProgram(name);
  return found;
}
