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
