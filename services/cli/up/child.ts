import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../main.js', import.meta.url));

/**
 * One `holdfast` process of the stack. It is in a process group of its own, so that Ctrl-C reaches the stack alone,
 * which then stops its children in order; and it stops by itself when the stack is gone (the IPC channel closes).
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

  /** SIGTERM, then SIGKILL if it has not ended after `patienceMs`. */
  async stop(patienceMs: number): Promise<void> {
    if (!this.running) {
      return;
    }
    const timer = setTimeout(() => this.kill('SIGKILL'), patienceMs);
    this.kill('SIGTERM');
    await this.exited;
    clearTimeout(timer);
  }

  /** The last lines it wrote, for a message that says why it ended. */
  lastWords(lines = 5): string {
    return readFileSync(this.logFile, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  }
}

/** The environment without what configures processes: the stack's are alike, wherever it is started. How to get into etcd stays. */
function inherited(): NodeJS.ProcessEnv {
  const kept = (name: string) =>
    !name.startsWith('HOLDFAST_') || /_(USERNAME|PASSWORD|ETCD_CA|ETCD_CERT|ETCD_KEY|LOG_LEVEL)$/.test(name);
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => kept(name)));
}
