import { findProgram } from '../../support/program.js';
import { MissingProgramError } from '../bench-case.js';

/** @throws MissingProgramError if it is not installed */
export function requireProgram(name: string): string {
  const found = findProgram(name);
  if (found === undefined) {
    throw new MissingProgramError(name);
  }
  return found;
}
