import { fileURLToPath } from 'node:url';
import { freeUdpPort } from '../../support/ports.js';
import { type Scope, startProcess } from '../../support/process.js';

const program = fileURLToPath(new URL('../servers/relay.js', import.meta.url));

/** The control side of a relay in a separate process, where no load generator acts as it. @returns its port */
export async function startActingRelay(scope: Scope): Promise<number> {
  const port = await freeUdpPort();
  const child = await startProcess(scope, process.execPath, [program, String(port)]);
  await child.waitForLine('listening');
  return port;
}
