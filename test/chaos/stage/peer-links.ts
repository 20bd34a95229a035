import { readdir, readFile, readlink } from 'node:fs/promises';
import { type AddressInfo, createServer, connect as dial, type Server, type Socket } from 'node:net';
import type { PeerNetwork } from '../../support/etcd-cluster.js';
import type { Scope } from '../../support/process.js';
import { TcpProxy } from '../../support/tcp-proxy.js';

/**
 * The connections between the members of etcd, with a proxy for each pair. All members dial a member at the same address,
 * so the caller is identified by the process that owns the other end of the connection.
 */
export class PeerLinks implements PeerNetwork {
  readonly #scope: Scope;
  /** By the member that is dialed, then by the one that dials. */
  readonly #ways: TcpProxy[][] = [];
  readonly #pids: number[] = [];

  constructor(
    scope: Scope,
    private readonly members: number,
  ) {
    this.#scope = scope;
  }

  started(member: number, pid: number): void {
    this.#pids[member] = pid;
  }

  async front(member: number, address: string): Promise<string> {
    const ways = await Promise.all(
      Array.from({ length: this.members }, () => TcpProxy.start(this.#scope, address)),
    );
    this.#ways[member] = ways;
    const server = createServer({ pauseOnConnect: true }, (socket) => void this.#join(socket, ways));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    this.#scope.teardown(() => close(server));
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** All connections from this member and to it. */
  of(member: number): TcpProxy[] {
    return this.#ways.flatMap((ways, dialed) =>
      ways.filter((_, dialling) => (dialed === member) !== (dialling === member)),
    );
  }

  async #join(socket: Socket, ways: readonly TcpProxy[]): Promise<void> {
    socket.on('error', () => {});
    const dialling = await ownerOf(socket.remotePort ?? 0, this.#pids);
    const way = ways[dialling];
    if (!way) {
      return void socket.resetAndDestroy();
    }
    const [host = '', port] = way.endpoint.split(':');
    const onwards = dial({ host, port: Number(port), noDelay: true });
    socket.setNoDelay(true);
    onwards.on('error', () => {});
    for (const [from, to] of [
      [socket, onwards],
      [onwards, socket],
    ] as const) {
      from.pipe(to);
      from.once('close', () => to.resetAndDestroy());
    }
    socket.resume();
  }
}

/** Index of the process that owns this local TCP port; -1 if none does. */
async function ownerOf(port: number, pids: readonly number[]): Promise<number> {
  const hexadecimal = port.toString(16).toUpperCase().padStart(4, '0');
  const line = (await readFile('/proc/net/tcp', 'utf8'))
    .split('\n')
    .map((each) => each.trim().split(/\s+/))
    .find((words) => words[1]?.endsWith(`:${hexadecimal}`) && words[9] !== '0');
  if (!line) {
    return -1;
  }
  const socket = `socket:[${line[9]}]`;
  const owners = await Promise.all(pids.map((pid) => hasOpen(pid, socket)));
  return owners.indexOf(true);
}

async function hasOpen(pid: number, what: string): Promise<boolean> {
  try {
    const directory = `/proc/${pid}/fd`;
    const names = await readdir(directory);
    const open = await Promise.all(names.map((name) => readlink(`${directory}/${name}`).catch(() => '')));
    return open.includes(what);
  } catch {
    // The process has ended.
    return false;
  }
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
