import { createServer, type Socket } from 'node:net';
import { freeTcpPort } from './ports.js';
import type { Scope } from './process.js';

/** Where a SIP proxy listens for timeouts. */
export interface NotifiedSocket {
  /** `tcp:HOST:PORT`, or `unix:PATH`. */
  readonly name: string;
  /** Lines that were told, in their order. */
  readonly heard: readonly string[];
  /** Closes the connections, and listens on. */
  hangUp(): void;
}

/** @param at a path, or by default a free port of 127.0.0.1 */
export async function notifiedSocket(scope: Scope, at?: string): Promise<NotifiedSocket> {
  const heard: string[] = [];
  const open = new Set<Socket>();
  const hangUp = () => {
    for (const socket of open) {
      socket.destroy();
    }
  };
  const server = createServer((socket) => {
    open.add(socket);
    let rest = '';
    socket.on('data', (bytes) => {
      const lines = (rest + bytes.toString('latin1')).split('\n');
      rest = lines.pop() ?? '';
      heard.push(...lines);
    });
    // Whoever hangs up has said what there was to say.
    socket.on('error', () => {});
    socket.on('close', () => open.delete(socket));
  });
  const port = at === undefined ? await freeTcpPort() : 0;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(at === undefined ? { host: '127.0.0.1', port } : { path: at }, resolve);
  });
  scope.teardown(async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    hangUp();
    await closed;
  });
  return { name: at === undefined ? `tcp:127.0.0.1:${port}` : `unix:${at}`, heard, hangUp };
}
