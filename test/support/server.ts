import { Server } from 'node:net';

/** The server of this process that listens on a port, as Node keeps it, for errors that no client can cause. */
export function serverAt(address: string): Server {
  const port = Number(address.split(':').at(-1));
  const handles = (process as unknown as { _getActiveHandles(): unknown[] })._getActiveHandles();
  const found = handles.find(
    (handle): handle is Server => handle instanceof Server && portOf(handle) === port,
  );
  if (!found) {
    throw new Error(`no server of this process listens on ${address}`);
  }
  return found;
}

function portOf(server: Server): number | undefined {
  const address = server.address();
  return typeof address === 'object' ? address?.port : undefined;
}
