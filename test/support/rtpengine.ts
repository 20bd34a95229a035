import { ProxyClient } from './ng.js';
import { freeUdpBlock, freeUdpPort } from './ports.js';
import { type Scope, startProcess, type TestProcess } from './process.js';
import { findProgram } from './program.js';

const loopback = '127.0.0.1';
const mediaPorts = 60;

/** A real rtpengine on loopback, in userspace, with ways to make it fail. */
export interface Rtpengine {
  /** Its ng port on 127.0.0.1. */
  readonly port: number;
  readonly controlUrl: string;
  readonly pid: number;
  readonly output: string;
  /** SIGKILL: its calls are lost. */
  kill(): Promise<void>;
  /** Kills it if it still runs, and starts it again on the same ports. Resolves once it answers. */
  restart(): Promise<void>;
  /** Freezes it: it does not answer, and no call is lost. */
  pause(): Promise<void>;
  resume(): void;
}

/** What runs an rtpengine in the foreground, with its ng port on 127.0.0.1; for testWith(['rtpengine'], …). */
export async function rtpengineCommand(extraArgs: readonly string[] = [], address = loopback) {
  const program = findProgram('rtpengine');
  if (!program) {
    throw new Error('rtpengine is not installed: register such tests with testWith([rtpengine], …)');
  }
  const port = await freeUdpPort();
  const portMin = address === loopback ? await freeUdpBlock(mediaPorts) : 30_000;
  const portMax = address === loopback ? portMin + mediaPorts - 1 : 39_999;
  const args = [
    // The configuration file of the machine would add fixed TCP ports, which only one process can have.
    ...['--config-file=none', '--table=-1', '--foreground', '--log-stderr', '--log-level=5'],
    ...[`--interface=${address}`, `--listen-ng=127.0.0.1:${port}`, '--delete-delay=0'],
    ...[`--port-min=${portMin}`, `--port-max=${portMax}`],
    ...extraArgs,
  ];
  return { port, program, args };
}

/**
 * Starts an rtpengine that ends with the scope; register such tests with testWith(['rtpengine'], …). With a media address
 * that no other process uses, it has ports for thousands of calls.
 */
export async function startRtpengine(
  scope: Scope,
  extraArgs: readonly string[] = [],
  address = loopback,
): Promise<Rtpengine> {
  const { port, program, args } = await rtpengineCommand(extraArgs, address);
  const probe = new ProxyClient('127.0.0.1', port);
  scope.teardown(() => probe.stop());
  let daemon: TestProcess;
  const start = async () => {
    daemon = await startProcess(scope, program, args);
    const ping = () => probe.request({ command: 'ping' }, { timeoutMs: 200 });
    await daemon.waitUntil(async () => (await ping())['result'] === 'pong', 'pong');
  };
  await start();
  return {
    port,
    controlUrl: `udp:127.0.0.1:${port}`,
    get pid() {
      return daemon.pid;
    },
    get output() {
      return daemon.output;
    },
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
