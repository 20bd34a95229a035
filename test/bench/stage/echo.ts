import { fileURLToPath } from 'node:url';
import { freeTcpPort } from '../../support/ports.js';
import { type Scope, startProcess } from '../../support/process.js';

const program = fileURLToPath(new URL('../servers/echo.js', import.meta.url));

export interface EchoServer {
  readonly port: number;
  readonly pid: number;
}

/** A bare grpc-js server in a separate process, with answers of a given size. */
export async function startEcho(
  scope: Scope,
  { unaryBytes, streamBytes }: { readonly unaryBytes: number; readonly streamBytes: number },
): Promise<EchoServer> {
  const port = await freeTcpPort();
  const args = [program, String(port), String(unaryBytes), String(streamBytes)];
  const child = await startProcess(scope, process.execPath, args);
  await child.waitForLine('listening');
  return { port, pid: child.pid };
}
