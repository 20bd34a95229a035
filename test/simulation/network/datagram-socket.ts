import { EventEmitter } from 'node:events';
import type { Host, SimProcess } from '../kernel/process.js';
import type { Network } from './network.js';

interface Remote {
  readonly address: string;
  readonly port: number;
}

type Sent = (error: Error | null) => void;

/** All UDP sockets, by address and port. */
export class DatagramPorts {
  readonly #sockets = new Map<string, DatagramSocket>();
  readonly #hosts = new Map<string, Host>();

  constructor(readonly network: Network) {}

  addHost(host: Host): void {
    this.#hosts.set(host.address, host);
  }

  host(address: string): Host | undefined {
    return this.#hosts.get(address);
  }

  at({ address, port }: Remote): DatagramSocket | undefined {
    return this.#sockets.get(`${address}:${port}`);
  }

  open(socket: DatagramSocket, { address, port }: Remote): void {
    this.#sockets.set(`${address}:${port}`, socket);
  }

  close({ address, port }: Remote): void {
    this.#sockets.delete(`${address}:${port}`);
  }
}

/** In place of a `dgram.Socket`, as far as `services/control/udp` and the tests use one. */
export class DatagramSocket extends EventEmitter {
  #local: Remote | undefined;
  #remote: Remote | undefined;
  #isClosed = false;

  constructor(
    private readonly ports: DatagramPorts,
    private readonly process: SimProcess,
  ) {
    super();
    process.onDeath(() => this.#forget());
  }

  bind({ address, port }: { readonly address: string; readonly port: number }): this {
    const local = { address, port: port || this.ports.network.newPort() };
    process.nextTick(() => {
      if (this.ports.at(local)) {
        this.emit('error', failure('EADDRINUSE', 'bind'));
        return;
      }
      this.#open(local);
      this.emit('listening');
    });
    return this;
  }

  connect(port: number, address: string): void {
    process.nextTick(() => {
      const host = this.ports.host(address);
      const errno = host ? this.ports.network.link(this.process.host, host).errno : 'ENETUNREACH';
      if (errno === 'ENETUNREACH' || errno === 'EHOSTUNREACH') {
        this.emit('error', failure(errno, 'connect'));
        return;
      }
      this.#remote = { address, port };
      this.#open({ address: this.process.host.address, port: this.ports.network.newPort() });
      this.emit('connect');
    });
  }

  send(datagram: Buffer, ...rest: [Sent] | [number, string, Sent]): void {
    const [to, sent] =
      rest.length === 1 ? [this.#remote, rest[0]] : [{ port: rest[0], address: rest[1] }, rest[2]];
    if (this.#isClosed || !to) {
      throw failure('ERR_SOCKET_DGRAM_NOT_CONNECTED', 'send');
    }
    const { network } = this.ports;
    const host = this.ports.host(to.address);
    const errno = host ? network.link(this.process.host, host).errno : 'ENETUNREACH';
    if (errno !== undefined || !host) {
      process.nextTick(() => sent(failure(errno ?? 'ENETUNREACH', 'send')));
      return;
    }
    process.nextTick(() => sent(null));
    const bytes = Buffer.from(datagram);
    const from = this.#local as Remote;
    network.sendDatagram(this.process.host, host, (delayMs) => this.#deliver(bytes, from, to, delayMs));
  }

  address(): Remote & { readonly family: string } {
    return { ...(this.#local as Remote), family: 'IPv4' };
  }

  setRecvBufferSize(): void {}

  close(closed?: () => void): this {
    if (!this.#isClosed) {
      this.#forget();
      process.nextTick(() => {
        closed?.();
        this.emit('close');
      });
    }
    return this;
  }

  /** Which socket is there is seen when the datagram arrives. */
  #deliver(bytes: Buffer, from: Remote, to: Remote, delayMs: number): void {
    const { network } = this.ports;
    // The host's kernel lives as long as its processes, and longer.
    network.scheduler.after(delayMs, (this.ports.host(to.address) as Host).kernel, () => {
      const socket = this.ports.at(to);
      if (socket) {
        socket.process.enter(() => socket.#receive(bytes, from));
      } else {
        this.#refused(to);
      }
    });
  }

  #receive(bytes: Buffer, from: Remote): void {
    const isStranger =
      this.#remote && (this.#remote.port !== from.port || this.#remote.address !== from.address);
    if (!this.#isClosed && !isStranger) {
      this.emit('message', bytes, { ...from, family: 'IPv4', size: bytes.length });
    }
  }

  /** ICMP port unreachable, of which only a connected socket hears. */
  #refused(from: Remote): void {
    const host = this.ports.host(from.address) as Host;
    this.ports.network.sendDatagram(host, this.process.host, (delayMs) => {
      this.process.after(delayMs, () => {
        if (!this.#isClosed && this.#remote) {
          this.emit('error', failure('ECONNREFUSED', 'recvmsg'));
        }
      });
    });
  }

  #open(local: Remote): void {
    if (!this.#isClosed) {
      this.#local = local;
      this.ports.open(this, local);
    }
  }

  #forget(): void {
    this.#isClosed = true;
    if (this.#local) {
      this.ports.close(this.#local);
    }
  }
}

function failure(code: string, call: string): Error {
  return Object.assign(new Error(`${call} ${code}`), { code, syscall: call });
}
