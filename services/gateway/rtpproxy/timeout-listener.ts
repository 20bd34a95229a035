import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Address } from '../../runtime/address.js';
import { ConnectionTable } from '../../runtime/connection-table.js';
import { type ListenDeps, listen } from '../../runtime/listen.js';

/** Relays keep their connections, and open others when those are closed. */
const limits = { most: 1024, mostPerSource: 64, mostSilentPerSource: 32 };
/** Longest line, bytes: longer than an rtpproxy command, whose part it was. */
const maxLineBytes = 8192;

export interface TimeoutListenerDeps extends ListenDeps {
  readonly listen: Address;
  /** For each connection, and each line. */
  readonly accept: (source: string) => boolean;
  readonly heard: (line: string) => void;
}

/** Where relays tell of timeouts: one line for each, over TCP, and no answer. */
export class TimeoutListener {
  readonly #deps: TimeoutListenerDeps;
  readonly #server: Server;
  readonly #connections = new ConnectionTable(limits);
  readonly #open = new Set<Socket>();

  constructor(deps: TimeoutListenerDeps) {
    this.#deps = deps;
    this.#server = createServer((socket) => this.#admit(socket));
  }

  /** Known once started. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** @throws Error naming the address, if it cannot be listened on */
  start(): Promise<void> {
    const { listen: address } = this.#deps;
    return listen(this.#server, address, 'timeouts of relays (HOLDFAST_RTPPROXY_NOTIFY_LISTEN)', this.#deps);
  }

  stop(): Promise<void> {
    return new Promise((resolve) => {
      // Its only error is that the server was not running.
      this.#server.close(() => resolve());
      for (const socket of this.#open) {
        socket.destroy();
      }
    });
  }

  #admit(socket: Socket): void {
    const { accept, heard, log } = this.#deps;
    const source = addressOf(socket);
    if (!accept(source)) {
      socket.destroy();
      return;
    }
    if (!this.#connections.admit(socket)) {
      return;
    }
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
    socket.on('error', (error) => log.debug({ err: error, source }, 'a connection of a relay failed'));
    const lines = new Lines(maxLineBytes);
    socket.on('data', (bytes) => {
      const isWithin = lines.read(bytes, (line) => {
        if (accept(source)) {
          this.#connections.greeted(socket);
          heard(line());
        }
      });
      if (!isWithin) {
        socket.destroy();
      }
    });
  }
}

/** Lines of a stream. None is made a text unless it is asked for: 64 KiB may hold as many of them. */
class Lines {
  readonly #mostBytes: number;
  /** The part of a line that has come. */
  #rest = '';

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /** @returns false if a line is too long: then nothing more must be read */
  read(bytes: Buffer, heard: (line: () => string) => void): boolean {
    let start = 0;
    for (;;) {
      const lineFeed = bytes.indexOf('\n', start);
      const end = lineFeed === -1 ? bytes.length : lineFeed;
      if (this.#rest.length + end - start > this.#mostBytes) {
        return false;
      }
      const text = () => this.#rest + bytes.toString('latin1', start, end);
      if (lineFeed === -1) {
        this.#rest = text();
        return true;
      }
      heard(text);
      this.#rest = '';
      start = lineFeed + 1;
    }
  }
}

function addressOf({ remoteAddress = '' }: Socket): string {
  return remoteAddress.replace(/^::ffff:(?=[\d.]+$)/, '');
}
