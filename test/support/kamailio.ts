import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Scope, startProcess, type TestProcess } from './process.js';
import { findProgram } from './program.js';
import { repository } from './repository.js';

const run = promisify(execFile);

/** Scenarios of phones, and a proxy that forks. */
export const kamailioFiles = join(repository, 'test/e2e/kamailio');
/** Complete configurations, for users to begin with. */
export const exampleFiles = join(repository, 'test/e2e/examples');
export const kamailioExample = join(exampleFiles, 'kamailio.cfg');

export interface KamailioOptions {
  /** Name of this instance, and of its directory in `directory`. */
  readonly name: string;
  readonly directory: string;
  readonly port: number;
  /** Its configuration file; by default the example of a proxy with a gateway. */
  readonly configuration?: string;
  /** Replaces the values that the configuration defines; undefined for a switch. Strings need quotes. */
  readonly defines: Readonly<Record<string, string | undefined>>;
}

/** One Kamailio with an example configuration. */
export class Kamailio {
  private constructor(
    readonly port: number,
    readonly process: TestProcess,
    readonly socket: string,
  ) {}

  static async start(scope: Scope, options: KamailioOptions): Promise<Kamailio> {
    const { name, port, configuration = kamailioExample, defines } = options;
    const directory = join(options.directory, name);
    await mkdir(directory);
    const values = { SIP_LISTEN: `udp:127.0.0.1:${port}`, ...defines };
    const args = [
      ...['-f', configuration, '-DD', '-E', '-m', '64', '-M', '4'],
      ...['-w', directory, '-Y', directory],
      ...Object.entries(values).flatMap(([key, value]) => [
        '-A',
        value === undefined ? key : `${key}=${value}`,
      ]),
    ];
    const process = await startProcess(scope, findProgram('kamailio') ?? 'kamailio', args);
    const kamailio = new Kamailio(port, process, join(directory, 'kamailio_ctl'));
    await process.waitUntil(async () => (await kamailio.ask('core.uptime')) !== '', 'an answer to kamcmd');
    return kamailio;
  }

  /** Runs a command over its control socket. */
  async ask(...command: string[]): Promise<string> {
    const { stdout } = await run(findProgram('kamcmd') ?? 'kamcmd', [
      '-s',
      `unix:${this.socket}`,
      ...command,
    ]);
    return stdout;
  }

  /** Log lines in which its rtpengine or rtpproxy module considers a server dead. */
  get complaints(): string[] {
    return this.process.output
      .split('\n')
      .filter((line) => /(timeout waiting reply|can't (send|read)|(did|does) not respond)/.test(line));
  }
}
