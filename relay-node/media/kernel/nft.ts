import { type ChildProcessWithoutNullStreams, execFile, spawn } from 'node:child_process';
import type { Clock } from '../../../services/runtime/clock.js';

/** nft, or the kernel, refuses a line: then nothing of it was done. The message is its first line. */
export class RefusedLineError extends Error {
  override readonly name = 'RefusedLineError';
}

/** nft does not run, or no longer: what became of the line is not known. */
export class NftGoneError extends Error {
  override readonly name = 'NftGoneError';
}

/** One life of nft. */
export interface Nft {
  /** Resolves with the reason when it has ended. */
  readonly ended: Promise<string>;
  /** Carries out one line, which is one transaction. @returns what it prints @throws RefusedLineError, NftGoneError */
  run(line: string): Promise<string>;
  /** The same in a process of its own, for what takes long. @throws RefusedLineError, NftGoneError */
  runApart(line: string): Promise<string>;
  stop(): Promise<void>;
}

interface Waiting {
  readonly done: (output: string) => void;
  readonly failed: (error: Error) => void;
  readonly cancelTimeout: () => void;
}

const lineTimeoutMs = 10_000;
const maxWaitingLines = 1024;
/** The list of a million streams. */
const maxOutputBytes = 256 * 1024 * 1024;
/** nft prints nothing for a line that was carried out, so this follows each line: its answer comes from no kernel. */
const mark = 'describe udp dport';
const markAnswer = /^payload expression, datatype inet_service.*\n/m;
/** The PATH of an ordinary user often lacks the directories of system programs; npm puts another `nft` into its own. */
const script = 'PATH=/usr/sbin:/sbin:$PATH; exec "$0" "$@" 2>&1';

/** An `nft -i` that lives as long as it can: a process for each line would take twenty times as long. */
export class NftProcess implements Nft {
  readonly ended: Promise<string>;
  readonly #program: string;
  readonly #clock: Clock;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #waiting: Waiting[] = [];
  #output = '';
  #gone: string | undefined;

  constructor(clock: Clock, program = 'nft') {
    this.#program = program;
    this.#clock = clock;
    // In a process group of its own: Ctrl-C is for this process, which has to remove the table. It ends with its input.
    this.#child = spawn('sh', ['-c', script, program, '-i'], { detached: true });
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => this.#read(text));
    this.#child.stderr.resume();
    this.#child.stdin.on('error', () => undefined); // it has ended, which is told below
    this.ended = new Promise((resolve) => {
      const end = (reason: string) => {
        this.#end(reason);
        resolve(reason);
      };
      this.#child.once('error', (error) => end(error.message));
      this.#child.once('close', (code, signal) => {
        const said = firstLine(this.#output);
        end(said === '' ? `nft ended (${signal ?? `code ${code}`})` : said);
      });
    });
  }

  run(line: string): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.#gone !== undefined) {
        return reject(new NftGoneError(this.#gone));
      }
      if (this.#waiting.length >= maxWaitingLines) {
        return reject(new NftGoneError(`nft has not answered ${maxWaitingLines} lines`));
      }
      const cancelTimeout = this.#clock.after(lineTimeoutMs, () => this.#child.kill('SIGKILL'));
      const done = (output: string) => {
        const refusal = refusalIn(output);
        if (refusal === undefined) {
          resolve(output);
        } else {
          reject(new RefusedLineError(refusal));
        }
      };
      this.#waiting.push({ done, failed: reject, cancelTimeout });
      this.#child.stdin.write(`${line}\n${mark}\n`);
    });
  }

  runApart(line: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const args = ['-c', script, this.#program, line];
      const options = {
        maxBuffer: maxOutputBytes,
        timeout: 6 * lineTimeoutMs,
        killSignal: 'SIGKILL',
      } as const;
      execFile('sh', args, options, (error, output) => {
        if (!error) {
          resolve(output);
        } else if (typeof error.code === 'number' && error.code < 126) {
          reject(new RefusedLineError(firstLine(output)));
        } else {
          reject(new NftGoneError(firstLine(output) || error.message));
        }
      });
    });
  }

  async stop(): Promise<void> {
    this.#child.stdin.end();
    const cancel = this.#clock.after(lineTimeoutMs, () => this.#child.kill('SIGKILL'));
    await this.ended;
    cancel();
  }

  #read(text: string): void {
    this.#output += text;
    for (;;) {
      const match = markAnswer.exec(this.#output);
      if (!match) {
        return;
      }
      const output = this.#output.slice(0, match.index);
      this.#output = this.#output.slice(match.index + match[0].length);
      const waiting = this.#waiting.shift();
      waiting?.cancelTimeout();
      waiting?.done(output);
    }
  }

  #end(reason: string): void {
    this.#gone ??= reason;
    for (const { failed, cancelTimeout } of this.#waiting.splice(0)) {
      cancelTimeout();
      failed(new NftGoneError(reason));
    }
  }
}

/** All that nft prints for a line that it carries out is the table that was asked for. */
function refusalIn(output: string): string | undefined {
  return output === '' || output.startsWith('table ') ? undefined : firstLine(output);
}

function firstLine(output: string): string {
  return (output.split('\n', 1)[0] ?? '').replace(/^(netlink: )?Error: /, '').slice(0, 200);
}
