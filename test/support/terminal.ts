import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { type ProcessOptions, type Scope, startProcess, type TestProcess } from './process.js';
import { holdfast } from './stack.js';

/**
 * Starts `holdfast ARGS` in a terminal of this size; its output has what it writes there. Of the environment it has only what a
 * person's shell would give it: under CI, Node takes no terminal for one with colors. Needs `script`.
 */
export function startInTerminal(
  scope: Scope,
  args: readonly string[],
  { columns, rows, ...options }: ProcessOptions & { readonly columns: number; readonly rows: number },
): Promise<TestProcess> {
  const { PATH = '', HOME = '' } = process.env;
  const env = Object.entries({ PATH, HOME, TERM: 'xterm-256color', ...options.env });
  const variables = env.map(([name, value]) => `${name}=${value}`);
  const command = ['env', '-i', ...variables, process.execPath, holdfast, ...args]
    .map((word) => `'${word}'`)
    .join(' ');
  const sized = `stty cols ${columns} rows ${rows}; exec ${command}`;
  return startProcess(scope, 'script', ['-qefc', sized, '/dev/null'], options);
}

/** The process inside the terminal. */
export async function insideOf({ pid }: TestProcess): Promise<number> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return Number(children.trim().split(' ')[0]);
}

/** Gives the terminal of that process another size, as a person does with a window. */
export async function resizeTerminal(
  child: TestProcess,
  { columns, rows }: { readonly columns: number; readonly rows: number },
): Promise<void> {
  const terminal = `/proc/${await insideOf(child)}/fd/0`;
  await promisify(execFile)('stty', ['-F', terminal, 'cols', `${columns}`, 'rows', `${rows}`]);
}
