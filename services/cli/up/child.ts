import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../main.js', import.meta.url));

/**
 * One `holdfast` process of the stack. It has its own process group, so that Ctrl-C reaches only the stack, which then stops
 * its children in order. When the stack is gone, the IPC channel closes and the process stops.
 */
export class Child {
  readonly #process: ChildProcess;
  readonly exited: Promise<number | string>;

  constructor(
    readonly name: string,
    command: string,
    environment: Record<string, string>,
    readonly logFile: string,
  ) {
    const log = openSync(logFile, 'a');
    this.#process = spawn(process.execPath, [...process.execArgv, program, command], {
      env: { ...inherited(), ...environment },
      stdio: ['ignore', log, log, 'ipc'],
      detached: true,
    });
    this.exited = once(this.#process, 'exit').then(([code, signal]) => code ?? signal);
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** SIGTERM, then SIGKILL if it is still running after `timeoutMs`. */
  async stop(timeoutMs: number): Promise<void> {
    if (!this.running) {
      return;
    }
    const timer = setTimeout(() => this.kill('SIGKILL'), timeoutMs);
    this.kill('SIGTERM');
    await this.exited;
    clearTimeout(timer);
  }

  /** The last lines of its log, for a message that says why it ended. */
  lastLines(lines = 5): string {
    return readFileSync(this.logFile, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  }
}

/** The environment without the settings of processes, which the stack chooses, except those for logging in to etcd. */
function inherited(): NodeJS.ProcessEnv {
  const kept = (name: string) =>
    !name.startsWith('HOLDFAST_') || /_(USERNAME|PASSWORD|ETCD_CA|ETCD_CERT|ETCD_KEY|LOG_LEVEL)$/.test(name);
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => kept(name)));
}
