import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** Runs a program to its end. @returns its standard output @throws Error with what it wrote to standard error */
export async function run(program: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await execute(program, args, { maxBuffer: 64 << 20 });
  return stdout;
}

/** Runs a program in the network of a node. */
export function runOn(node: string, ...command: readonly string[]): Promise<string> {
  return run('nsenter', `--net=/run/netns/${node}`, ...command);
}
