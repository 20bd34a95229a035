import { createSocket } from 'node:dgram';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freeUdpPort } from './ports.js';
import { type Scope, startProcess, type TestProcess } from './process.js';
import { findProgram } from './program.js';

export interface SippOptions {
  /** Name of this instance, and of its directory in `directory`. */
  readonly name: string;
  readonly directory: string;
  /** Path of the scenario. */
  readonly scenario: string;
  /** Each `<pause/>` waits for `go`. */
  readonly held?: boolean;
  /** Where it sends requests; undefined for a callee. */
  readonly to?: { readonly host: string; readonly port: number };
  readonly args: readonly string[];
}

/** One line that the scenario wrote: where the SDP of a request or answer wants media sent. */
export interface MediaNote {
  readonly callId: string;
  readonly request: string;
  readonly address: string;
  readonly port: number;
  /** Port of the proxy that the request came through. */
  readonly proxy: number;
}

export interface SippResult {
  readonly succeeded: number;
  readonly failed: number;
  readonly retransmissions: number;
  readonly errors: string;
}

/** A Call-ID may have spaces. */
const noteLine = /^(?<callId>.+?) (?<request>\S+) (?<address>\S+) (?<port>\d+)(?: (?<proxy>\d+))?$/;

/** One sipp process, with what it wrote. */
export class Sipp {
  readonly #directory: string;
  readonly #name: string;

  private constructor(
    readonly port: number,
    readonly process: TestProcess,
    { directory, name }: SippOptions,
  ) {
    this.#directory = join(directory, name);
    this.#name = name;
  }

  static async start(scope: Scope, options: SippOptions): Promise<Sipp> {
    const { name, to, args } = options;
    const directory = join(options.directory, name);
    await mkdir(directory);
    const file = join(directory, `${name}.xml`);
    const scenario = await readFile(options.scenario, 'utf8');
    await writeFile(
      file,
      options.held ? scenario.replaceAll('<pause/>', '<recv request="OPTIONS"/>') : scenario,
    );
    const port = await freeUdpPort();
    const process = await startProcess(
      scope,
      findProgram('sipp') ?? 'sipp',
      [
        ...(to ? [`${to.host}:${to.port}`] : []),
        ...['-i', '127.0.0.1', '-p', `${port}`, '-sf', file, '-nostdin', '-skip_rlimit'],
        ...['-trace_logs', '-log_file', join(directory, 'notes.log')],
        ...['-trace_err', '-error_file', join(directory, 'errors.log')],
        ...['-trace_rtt', '-rtt_freq', '1', '-trace_stat', '-stf', join(directory, 'stat.csv'), '-fd', '1'],
        ...args,
      ],
      { cwd: directory, env: { TERM: 'xterm' } },
    );
    const sipp = new Sipp(port, process, options);
    await process.waitUntil(() => existsSync(join(directory, 'stat.csv')), 'statistics of sipp');
    return sipp;
  }

  get notes(): MediaNote[] {
    return this.#read('notes.log')
      .split('\n')
      .map((line) => noteLine.exec(line)?.groups)
      .filter((groups) => groups !== undefined)
      .map(({ callId = '', request = '', address = '', port, proxy }) => ({
        callId,
        request,
        address,
        port: Number(port),
        proxy: Number(proxy),
      }));
  }

  /** The calls that have noted this request. */
  noted(request: string): Map<string, MediaNote> {
    return new Map(this.notes.filter((note) => note.request === request).map((note) => [note.callId, note]));
  }

  /** Resolves once so many calls have noted this request. */
  async reached(count: number, request: string, timeoutMs = 30_000): Promise<void> {
    await this.process.waitUntil(
      () => this.noted(request).size >= count,
      `${count} calls with ${request} at ${this.#name}`,
      timeoutMs,
    );
  }

  /** Lets held calls continue, one per period. */
  async go(callIds: Iterable<string>, periodMs = 0): Promise<void> {
    const socket = createSocket('udp4');
    try {
      for (const callId of callIds) {
        const request = [
          `OPTIONS sip:127.0.0.1:${this.port} SIP/2.0`,
          `Via: SIP/2.0/UDP 127.0.0.1:${this.port};branch=z9hG4bK-go`,
          'From: <sip:go@127.0.0.1>;tag=go',
          'To: <sip:go@127.0.0.1>',
          `Call-ID: ${callId}`,
          'CSeq: 1 OPTIONS',
          'Content-Length: 0',
          '',
          '',
        ].join('\r\n');
        await new Promise<void>((resolve, reject) =>
          socket.send(request, this.port, '127.0.0.1', (error) => (error ? reject(error) : resolve())),
        );
        if (periodMs > 0) {
          await new Promise((resolve) => setTimeout(resolve, periodMs));
        }
      }
    } finally {
      socket.close();
    }
  }

  /** Resolves when all its calls have ended, successfully or not. */
  async ended(timeoutMs = 60_000): Promise<SippResult> {
    await Promise.race([
      this.process.exited,
      new Promise((_, reject) =>
        setTimeout(
          () => reject(new Error(`${this.#name} has not ended within ${timeoutMs} ms`)),
          timeoutMs,
        ).unref(),
      ),
    ]);
    return this.result;
  }

  get result(): SippResult {
    const [names = '', ...rows] = this.#read('stat.csv').trim().split('\n');
    const last = rows.at(-1)?.split(';') ?? [];
    const column = (name: string) => Number(last[names.split(';').indexOf(name)] ?? Number.NaN);
    return {
      succeeded: column('SuccessfulCall(C)'),
      failed: column('FailedCall(C)'),
      retransmissions: column('Retransmissions(C)'),
      errors: this.#errors(),
    };
  }

  /** All response times, ms, by their names in the scenario. */
  async responseTimes(): Promise<Map<string, number[]>> {
    const times = new Map<string, number[]>();
    const file = (await readdir(this.#directory)).find((name) => name.endsWith('_rtt.csv'));
    for (const line of file ? this.#read(file).trim().split('\n').slice(1) : []) {
      const [, timeMs, name = ''] = line.split(';');
      times.set(name, [...(times.get(name) ?? []), Number(timeMs)]);
    }
    return times;
  }

  /** Without the repeated answers that reach calls that have ended well. */
  #errors(): string {
    const events = this.#read('errors.log').split(/^(?=\d{4}-\d\d-\d\d\t)/m);
    return events.filter((event) => !event.includes('(successful)')).join('');
  }

  #read(file: string): string {
    const path = join(this.#directory, file);
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }
}
