import { fileURLToPath } from 'node:url';
import { freeUdpPort } from '../../support/ports.js';
import { type Scope, startProcess } from '../../support/process.js';

const program = fileURLToPath(new URL('../servers/forwarder.js', import.meta.url));

/** A bare UDP forwarder in a separate process. */
export async function startForwarder(
  scope: Scope,
  relayPort: number,
): Promise<{ readonly port: number; readonly pid: number }> {
  const port = await freeUdpPort();
  const child = await startProcess(scope, process.execPath, [program, String(port), String(relayPort)]);
  await child.waitForLine('listening');
  return { port, pid: child.pid };
}
