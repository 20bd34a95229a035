import type { Scope } from '../../support/process.js';
import { startProcess } from '../../support/process.js';

const timeoutMs = 10 * 60_000;

/** @returns standard output @throws Error with all output */
export async function kubectl(scope: Scope, ...args: readonly string[]): Promise<string> {
  return (await startProcess(scope, 'kubectl', args)).success(timeoutMs);
}

/** Creates objects, or changes them. */
export async function apply(scope: Scope, ...objects: readonly unknown[]): Promise<void> {
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
  await (await startProcess(scope, 'kubectl', ['apply', '-f', '-'], { input })).success(timeoutMs);
}

/** @returns standard output @throws Error with all output */
export async function helm(scope: Scope, ...args: readonly string[]): Promise<string> {
  return (await startProcess(scope, 'helm', args)).success(timeoutMs);
}
