import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';

/** The programs that the cluster consists of. All end with its namespaces; one that ends before is an error. */
export class Daemons {
  constructor(
    /** Directory of their logs. */
    private readonly logs: string,
    private readonly onEnd: (reason: string) => void,
  ) {}

  /** Starts one. @param node whose network it gets; without one, that of the control plane */
  start(name: string, command: readonly string[], node?: string): void {
    const log = openSync(join(this.logs, `${name}.log`), 'a');
    const [program = '', ...args] = node === undefined ? command : enter(node, command);
    const child = spawn(program, args, { stdio: ['ignore', log, log] });
    closeSync(log);
    child.once('error', (error) => this.onEnd(`cannot start ${name}: ${error.message}`));
    child.once('exit', (code, signal) => this.onEnd(`${name} has ended (${signal ?? `code ${code}`})`));
  }
}

const enter = (node: string, command: readonly string[]) => [
  'nsenter',
  `--net=/run/netns/${node}`,
  ...command,
];
