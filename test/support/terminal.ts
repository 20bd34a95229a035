import { type ProcessOptions, type Scope, startProcess, type TestProcess } from './process.js';
import { holdfast } from './stack.js';

/** Starts `holdfast ARGS` in a terminal of this size; its output has what it writes there. Needs `script`. */
export function startInTerminal(
  scope: Scope,
  args: readonly string[],
  { columns, rows, ...options }: ProcessOptions & { readonly columns: number; readonly rows: number },
): Promise<TestProcess> {
  const command = [process.execPath, holdfast, ...args].map((word) => `'${word}'`).join(' ');
  const sized = `stty cols ${columns} rows ${rows}; exec ${command}`;
  const env = { TERM: 'xterm-256color', ...options.env };
  return startProcess(scope, 'script', ['-qefc', sized, '/dev/null'], { ...options, env });
}
