import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { NgDictionary } from '../../services/control/ng/message.js';
import type { Tasks } from './network-host-process.js';
import { ProxyClient } from './ng.js';
import { type ProcessOptions, type Scope, startProcess, type TestProcess } from './process.js';
import type { HeardPacket } from './rtp.js';

/** What a test needs for its hosts. */
export const networkHostPrograms = ['network namespaces', 'unshare', 'nsenter', 'ip'] as const;

const program = fileURLToPath(new URL('./network-host-process.js', import.meta.url));
const timeoutMs = 60_000;

/**
 * A host of its own, with its own devices, addresses and nftables: a process in a network namespace that has no name, and so is
 * gone when the last process in it is.
 */
export class NetworkHost {
  readonly #events = new EventEmitter();
  #lastId = 0;

  private constructor(
    private readonly scope: Scope,
    private readonly child: ChildProcess,
  ) {
    this.#events.setMaxListeners(0);
    child.on('message', (message: { ready?: true; id?: number; socket?: number }) => {
      const { id, socket } = message;
      this.#events.emit(id === undefined ? `socket ${socket}` : `reply ${id}`, message);
    });
  }

  static async start(scope: Scope): Promise<NetworkHost> {
    const child = spawn('unshare', ['--net', process.execPath, program], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced',
    });
    scope.teardown(async () => {
      if (child.exitCode === null) {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
    });
    const host = new NetworkHost(scope, child);
    await once(child, 'message', { signal: AbortSignal.timeout(timeoutMs) });
    await host.exec('ip', 'link', 'set', 'lo', 'up');
    return host;
  }

  /** Runs a program there. @returns its standard output */
  async exec(...command: readonly string[]): Promise<string> {
    const started = await this.run(command);
    return started.success();
  }

  /** Starts a program there, which ends with the test. */
  run(command: readonly string[], options?: ProcessOptions): Promise<TestProcess> {
    const args = ['--net', `--target=${this.child.pid}`, ...command];
    return startProcess(this.scope, 'nsenter', args, options);
  }

  /** Connects two hosts. @param device its name on both of them; each with an address and the length of its prefix */
  async connect(device: string, address: string, other: NetworkHost, otherAddress: string): Promise<void> {
    const peer = ['peer', 'name', device, 'netns', String(other.child.pid)];
    await this.exec('ip', 'link', 'add', device, 'type', 'veth', ...peer);
    await this.setUp(device, address);
    await other.setUp(device, otherAddress);
  }

  async setUp(device: string, address: string): Promise<void> {
    const nodad = address.includes(':') ? ['nodad'] : [];
    await this.exec('ip', 'address', 'add', address, 'dev', device, ...nodad);
    await this.exec('ip', 'link', 'set', device, 'up');
  }

  async udp(address: string, port = 0): Promise<RemoteSocket> {
    const id = ++this.#lastId;
    const socket = new RemoteSocket(this, id, address);
    this.#events.on(`socket ${id}`, ({ data, from }: HeardPacket) =>
      socket.hear({ data: Buffer.from(data), from }),
    );
    socket.port = (await this.ask('open', id, address, port)) as number;
    return socket;
  }

  /** Has the process there do something. */
  async ask<T extends keyof Tasks>(
    task: T,
    ...args: Parameters<Tasks[T]>
  ): Promise<Awaited<ReturnType<Tasks[T]>>> {
    const id = ++this.#lastId;
    const replied = once(this.#events, `reply ${id}`, { signal: AbortSignal.timeout(timeoutMs) });
    this.child.send({ id, task, args });
    const [{ result, error }] = await replied;
    if (error !== undefined) {
      throw new Error(error);
    }
    return result;
  }
}

/** A UDP socket of a host. */
export class RemoteSocket {
  readonly heard: HeardPacket[] = [];
  port = 0;
  readonly #changed = new EventEmitter();

  constructor(
    private readonly host: NetworkHost,
    readonly id: number,
    readonly address: string,
  ) {}

  hear(packet: HeardPacket): void {
    this.heard.push(packet);
    this.#changed.emit('heard');
  }

  async send(packet: Buffer, port: number, address: string): Promise<void> {
    await this.host.ask('send', this.id, packet, port, address);
  }

  /** Resolves when it has heard so many. */
  async hears(count: number): Promise<void> {
    const signal = AbortSignal.timeout(timeoutMs);
    while (this.heard.length < count) {
      await once(this.#changed, 'heard', { signal }).catch(() => {
        throw new Error(`${this.heard.length} of ${count} packets arrived within ${timeoutMs} ms`);
      });
    }
  }
}

/** A SIP proxy on that host. */
export class RemoteProxy extends ProxyClient {
  constructor(
    private readonly on: NetworkHost,
    private readonly address: string,
    private readonly port: number,
  ) {
    super(address, port);
  }

  override request(body: NgDictionary): Promise<NgDictionary> {
    return this.on.ask('ng', this.address, this.port, body);
  }
}
