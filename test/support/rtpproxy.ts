import { dirname } from 'node:path';
import { UdpClient } from '../../services/control/udp/client.js';
import { freeUdpBlock, freeUdpPort } from './ports.js';
import { type Scope, startProcess, type TestProcess } from './process.js';
import { findProgram } from './program.js';

export const rtpproxyPrograms = ['rtp-io', 'python3'];

/** Runs the engine with the options that are passed to it. Without a handler of its own, Python would not end by SIGTERM. */
const script = `
import os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
from rtp.io import rtpproxy
least, most, *options = sys.argv[1:]
engine = rtpproxy(port_min=int(least), port_max=int(most), rec_spool_dir='/tmp', rec_final_dir='/tmp', debug_level='crit',
                  modules=['catch_dtmf'], extra_args=['-F', *options])
signal.pause()
`;

/** A real rtpproxy on loopback, with ways to make it fail. */
export interface Rtpproxy {
  /** Its control port on 127.0.0.1. */
  readonly port: number;
  readonly controlUrl: string;
  readonly output: string;
  /** The reply to a command, without its end of line. */
  ask(command: string): Promise<string>;
  /** SIGKILL: its calls are lost. */
  kill(): Promise<void>;
  /** Kills it if it still runs, and starts it again on the same ports. Resolves once it answers. */
  restart(): Promise<void>;
  /** Freezes it: it does not answer, and no call is lost. */
  pause(): Promise<void>;
  resume(): void;
}

export interface RtpproxyOptions {
  /** Of the engine. By default it has one address, 127.0.0.1. */
  readonly engine?: readonly string[];
  /** Ports for media streams; each takes a pair. By default 50, or thousands at an address of its own. */
  readonly portPairs?: number;
  /** A media address that no other process uses. */
  readonly address?: string;
}

/** Something to run, with what it needs of its environment. */
export interface RtpproxyCommand {
  /** Its control port on 127.0.0.1. */
  readonly port: number;
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** What runs an rtpproxy in the foreground; register such tests with testWith(rtpproxyPrograms, …). */
export async function rtpproxyCommand(options: RtpproxyOptions = {}): Promise<RtpproxyCommand> {
  const { address = '127.0.0.1', engine = ['-l', address] } = options;
  const isShared = address === '127.0.0.1';
  const portPairs = options.portPairs ?? (isShared ? 50 : 5000);
  const library = findProgram('rtp-io');
  const python = findProgram('python3');
  if (!library || !python) {
    throw new Error('rtp-io is not installed: register such tests with testWith(rtpproxyPrograms, …)');
  }
  const port = await freeUdpPort();
  const portMin = isShared ? await freeUdpBlock(2 * portPairs) : 30_000;
  const portMax = portMin + 2 * portPairs - 1;
  const args = ['-c', script, `${portMin}`, `${portMax}`, '-s', `udp:127.0.0.1:${port}`, ...engine];
  return { port, program: python, args, env: { PYTHONPATH: dirname(library) } };
}

/** Starts an rtpproxy that ends with the scope; register such tests with testWith(rtpproxyPrograms, …). */
export async function startRtpproxy(scope: Scope, options: RtpproxyOptions = {}): Promise<Rtpproxy> {
  const { port, program, args, env } = await rtpproxyCommand(options);
  const client = new UdpClient({ host: '127.0.0.1', port, timeoutMs: 2000 });
  scope.teardown(() => client.stop());
  const ask = async (command: string, timeoutMs?: number) => {
    const reply = await client.request(Buffer.from(command, 'latin1'), timeoutMs ? { timeoutMs } : {});
    return reply.toString('latin1').replace(/\n$/, '');
  };
  let daemon: TestProcess;
  const start = async () => {
    daemon = await startProcess(scope, program, args, { env });
    await daemon.waitUntil(async () => (await ask('V', 200)) === '20040107', 'answer to V');
  };
  await start();
  return {
    port,
    controlUrl: `udp:127.0.0.1:${port}`,
    get output() {
      return daemon.output;
    },
    ask: (command) => ask(command),
    async kill() {
      await daemon.kill();
    },
    async restart() {
      await daemon.kill();
      await start();
    },
    pause: () => daemon.pause(),
    resume: () => daemon.resume(),
  };
}

/** Sessions that an engine has now. @param own of its relay node */
export async function sessionsOn(engine: Rtpproxy, own = 0): Promise<number> {
  return Number(/active sessions: (\d+)/.exec(await engine.ask('I'))?.[1]) - own;
}
