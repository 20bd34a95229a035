import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { freeUdpPort } from './ports.js';
import { type Scope, startProcess } from './process.js';
import { findProgram } from './program.js';

export interface SippyOptions {
  /** For what it writes. */
  readonly directory: string;
  /** `udp:HOST:PORT` of the rtpproxy that it uses. */
  readonly rtpproxy: string;
  /** `HOST:PORT` of the phone that all calls go to. */
  readonly callee: string;
}

/** Sippy's B2BUA: each leg of a call is a dialog of its own, and both have their media on one rtpproxy. */
export interface Sippy {
  readonly port: number;
}

/** The Unix socket at which it is told of timeouts, as every `U` of it says. */
export const sippySocket = (directory: string): string => join(directory, 'sippy', 'b2bua.sock');

/** Register such tests with testWith(['sippy', 'python3'], …). */
export async function startSippy(
  scope: Scope,
  { directory, rtpproxy, callee }: SippyOptions,
): Promise<Sippy> {
  const [library, python] = [findProgram('sippy'), findProgram('python3')];
  if (!library || !python) {
    throw new Error("sippy is not installed: register such tests with testWith(['sippy', 'python3'], …)");
  }
  const own = join(directory, 'sippy');
  await mkdir(own);
  const [port, socket] = [await freeUdpPort(), sippySocket(directory)];
  const settings = {
    ...{ foreground: 'on', auth_enable: 'off', acct_enable: 'off' },
    ...{ sip_address: '127.0.0.1', sip_port: `${port}`, static_route: callee },
    ...{ rtp_proxy_clients: rtpproxy, b2bua_socket: socket },
    ...{ pidfile: join(own, 'pid'), logfile: join(own, 'log') },
  };
  const process = await startProcess(
    scope,
    python,
    [
      ...['-c', 'import sys; from sippy.b2bua import main_func; sys.exit(main_func())'],
      ...Object.entries(settings).map(([name, value]) => `--${name}=${value}`),
    ],
    { cwd: own, env: { PYTHONPATH: dirname(library) } },
  );
  await process.waitUntil(() => existsSync(socket), 'control socket of the B2BUA');
  return { port };
}
