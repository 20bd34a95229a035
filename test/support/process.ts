import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

/** Owner of what a helper starts: a test (`t`), or a scope that outlives single tests. */
export interface Scope {
  teardown(task: () => Promise<void> | void): void;
}

export interface ProcessOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Written to its standard input, which is then closed. */
  readonly input?: string;
  /** Its standard input stays open, for `type`. */
  readonly interactive?: boolean;
  /** Called with all output as it arrives: the output that is kept is bounded. */
  readonly onOutput?: (text: string) => void;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Long: it only decides when a test fails, and a loaded machine is slow. */
const defaultTimeoutMs = 60_000;
const maxOutputChars = 1 << 20;

/** Process groups that must not outlive this process. */
const running = new Set<number>();
process.once('exit', () => {
  for (const pid of running) {
    signalGroup(pid, 'SIGKILL');
  }
});

/** A child process of a test, with its output. It leads its own process group, which is killed as a whole. */
export class TestProcess {
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #watchers = new Set<() => void>();
  readonly exited: Promise<Exit>;
  #stdout = '';
  #output = '';
  #exit: Exit | undefined;

  constructor(name: string, child: ChildProcess) {
    this.#name = name;
    this.#child = child;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout = (this.#stdout + text).slice(-maxOutputChars);
      this.#append(text);
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#append(text));
    // 'close' instead of 'exit': by then all output has arrived.
    this.exited = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        this.#exit = { code, signal };
        this.#changed();
        resolve(this.#exit);
      });
    });
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  get running(): boolean {
    return this.#exit === undefined;
  }

  get stdout(): string {
    return this.#stdout;
  }

  /** Standard output and standard error in order of arrival. */
  get output(): string {
    return this.#output;
  }

  /** Resolves with the first line of output, past or future, that matches. */
  async waitForLine(pattern: RegExp | string, timeoutMs = defaultTimeoutMs): Promise<string> {
    const matches = (line: string) =>
      typeof pattern === 'string' ? line.includes(pattern) : pattern.test(line);
    const find = () => this.#output.split('\n').find(matches);
    const found = await this.#waitFor(find, `a line with ${pattern}`, timeoutMs);
    return found;
  }

  /**
   * Polls until the answer is true; an error counts as "not yet". Fails as soon as the process ends. The last poll begins
   * after the timeout: on a loaded machine the timeout may pass before this process runs again.
   */
  async waitUntil(
    ask: () => Promise<boolean> | boolean,
    what: string,
    timeoutMs = defaultTimeoutMs,
  ): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      const isLast = performance.now() > deadlineMs;
      let reason: unknown;
      try {
        if (await ask()) {
          return;
        }
      } catch (error) {
        reason = error;
      }
      if (this.#exit) {
        throw this.#failure(`ended (${describe(this.#exit)}) before ${what}`);
      }
      if (isLast) {
        throw this.#failure(`no ${what} within ${timeoutMs} ms${reason ? ` (${reason})` : ''}`);
      }
      await delay(20);
    }
  }

  /** Writes to its standard input, which was left open. */
  type(text: string): void {
    this.#child.stdin?.write(text);
  }

  signal(signal: NodeJS.Signals): void {
    if (this.running) {
      signalGroup(this.pid, signal);
    }
  }

  /**
   * Freezes it: connections stay open and nothing answers. Resolves when none of its threads runs any more, which is also
   * so if it has ended meanwhile.
   */
  async pause(): Promise<void> {
    const hasStopped = () => {
      // Sent with every poll: a `resume()` that belongs to an earlier `pause()` may come in between.
      this.signal('SIGSTOP');
      return !this.running || isStopped(this.pid);
    };
    await this.waitUntil(hasStopped, 'stop of all threads');
  }

  resume(): void {
    this.signal('SIGCONT');
  }

  /** SIGTERM, and SIGKILL after the timeout. */
  async stop(timeoutMs = 5000): Promise<Exit> {
    this.signal('SIGTERM');
    const timer = setTimeout(() => this.signal('SIGKILL'), timeoutMs);
    try {
      return await this.exited;
    } finally {
      clearTimeout(timer);
    }
  }

  async kill(): Promise<Exit> {
    this.signal('SIGKILL');
    return this.exited;
  }

  /** Resolves with standard output once the process has ended. Fails, with all output, unless the exit code is 0. */
  async success(timeoutMs = defaultTimeoutMs): Promise<string> {
    await this.#waitFor(() => this.#exit, 'exit', timeoutMs);
    if (this.#exit?.code !== 0) {
      throw this.#failure(`failed (${describe(await this.exited)})`);
    }
    return this.#stdout;
  }

  #append(text: string): void {
    this.#output = (this.#output + text).slice(-maxOutputChars);
    this.#changed();
  }

  #changed(): void {
    for (const watcher of [...this.#watchers]) {
      watcher();
    }
  }

  #waitFor<T>(find: () => T | undefined, what: string, timeoutMs: number): Promise<T> {
    return new Promise((resolve, reject) => {
      const done = (settle: () => void) => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        settle();
      };
      const look = () => {
        const found = find();
        if (found !== undefined) {
          done(() => resolve(found));
        } else if (this.#exit) {
          done(() => reject(this.#failure(`ended (${describe(this.#exit)}) before ${what}`)));
        }
      };
      const expire = () => done(() => reject(this.#failure(`no ${what} within ${timeoutMs} ms`)));
      // On a loaded machine this process may not have run for long: output that has arrived is read first.
      const timer = setTimeout(() => setImmediate(expire), timeoutMs);
      this.#watchers.add(look);
      look();
    });
  }

  #failure(reason: string): Error {
    return new Error(`${this.#name}: ${reason}; its output:\n${this.#output || '(none)'}`);
  }
}

/** Starts a program. It is killed, with its children, when the scope ends or this process dies. */
export async function startProcess(
  scope: Scope,
  command: string,
  args: readonly string[],
  options: ProcessOptions = {},
): Promise<TestProcess> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...inherited(), ...options.env },
    detached: true,
    stdio: [options.input === undefined && !options.interactive ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  });
  const started = new TestProcess(command, child);
  if (options.onOutput) {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', options.onOutput);
    }
  }
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (error) => reject(new Error(`cannot start ${command}: ${error.message}`)));
  });
  running.add(started.pid);
  const release = guard(started.pid);
  void started.exited.then(() => {
    running.delete(started.pid);
    release();
  });
  scope.teardown(async () => {
    await started.kill();
  });
  if (options.interactive) {
    child.stdin?.on('error', () => {}); // the same
  }
  if (options.input !== undefined) {
    child.stdin?.on('error', () => {}); // it ended without reading; its exit code tells why
    child.stdin?.end(options.input);
  }
  return started;
}

/**
 * A shell that kills the process group when its standard input ends, which happens however this process dies, even by
 * SIGKILL. It has its own session, so that Ctrl-C does not end it first.
 */
function guard(pid: number): () => void {
  const shell = spawn('/bin/sh', ['-c', `read -r _; kill -s KILL -- -${pid}`], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  shell.on('error', () => {});
  shell.stdin?.on('error', () => {});
  shell.unref();
  (shell.stdin as unknown as { unref?: () => void } | null)?.unref?.();
  return () => shell.kill('SIGKILL');
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // It has already ended.
  }
}

/** True if there is no such process, or nothing of it but its exit code. */
export function hasEnded(pid: number): boolean {
  try {
    return /\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return true;
  }
}

/** Threads that run when the signal arrives continue for a moment. Threads that have ended count as stopped. */
async function isStopped(pid: number): Promise<boolean> {
  const directory = `/proc/${pid}/task`;
  const threads = await readdir(directory).catch(noneIfGone);
  const states = await Promise.all(threads.map((thread) => stateOf(`${directory}/${thread}/stat`)));
  return states.every((state) => 'TtZX'.includes(state));
}

/** One letter, as in proc_pid_stat(5). The thread's name before it is in parentheses and may contain anything. */
async function stateOf(path: string): Promise<string> {
  const stat = await readFile(path, 'utf8').catch((error) => {
    noneIfGone(error);
    return ') X';
  });
  return stat.slice(stat.lastIndexOf(') ') + 2).charAt(0);
}

/** A thread that ends while its files are read is gone (ENOENT) or about to be (ESRCH). */
function noneIfGone(error: NodeJS.ErrnoException): never[] {
  if (error.code === 'ENOENT' || error.code === 'ESRCH') {
    return [];
  }
  throw error;
}

const describe = (exit: Exit | undefined): string => (exit?.signal ? exit.signal : `code ${exit?.code}`);

/** The environment without the settings of the tests, which the programs that a test starts do not know. */
function inherited(): NodeJS.ProcessEnv {
  const ofTests = /^HOLDFAST_(TEST|FUZZ)_/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !ofTests.test(name)));
}
