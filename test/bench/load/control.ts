import { createSocket, type Socket } from 'node:dgram';
import type { ProtocolName } from '../../../services/control/protocol.js';
import { splitDatagram } from '../../../services/control/udp/datagram.js';
import { ngDialect } from './dialects/ng.js';
import { rtpproxyDialect } from './dialects/rtpproxy.js';
import type { ControlCommand, Target } from './job.js';
import type { Operations } from './operations.js';
import { callIdOf, Numbers } from './requests.js';

type ControlTarget = Extract<Target, { kind: 'control' }>;

/** What SIP proxies and relays say in one protocol. Bodies are datagrams without their cookie. */
export interface Dialect {
  request(command: ControlCommand, callId: string): Buffer;
  /** What a relay says to such a request: that it is done. */
  reply(request: Buffer): Buffer;
  isDone(reply: Buffer): boolean;
}

const dialects: Readonly<Record<ProtocolName, Dialect>> = { ng: ngDialect, rtpproxy: rtpproxyDialect };

/** The same as Kamailio's. */
const timeoutMs = 1000;
const proxies = 4;
const bufferBytes = 4 << 20;

/** Acts as the SIP proxies in front of a gateway and, where it is told so, on another port as the relay behind it. */
export class ControlCommands implements Operations {
  readonly size = 1;
  readonly unexpected = 0;
  answerBytes = 0;
  readonly #target: ControlTarget;
  readonly #numbers: Numbers;
  readonly #sockets: Socket[] = [];
  readonly #pending = new Map<string, { done: (succeeded: boolean) => void; dueMs: number }>();
  readonly #dialect: Dialect;
  readonly #sweeper: NodeJS.Timeout;
  #relay: Socket | undefined;
  #sequence = 0;
  /** The number of the call whose commands are under way. */
  #number = 0;

  private constructor(target: ControlTarget) {
    this.#target = target;
    this.#dialect = dialects[target.protocol];
    this.#numbers = new Numbers(target.calls);
    this.#sweeper = setInterval(() => this.#sweep(), 100);
  }

  static async open(target: ControlTarget): Promise<ControlCommands> {
    const commands = new ControlCommands(target);
    if (target.relayPort !== undefined) {
      await commands.#beRelay(target.relayPort);
    }
    for (let i = 0; i < proxies; i++) {
      await commands.#beProxy();
    }
    return commands;
  }

  start(done: (succeeded: boolean) => void): void {
    const { calls, commands } = this.#target;
    const sequence = this.#sequence++;
    const command = commands[sequence % commands.length] as ControlCommand;
    if (sequence % commands.length === 0) {
      this.#number = this.#numbers.next();
    }
    const cookie = `bench${sequence.toString(36)}`;
    const body = this.#dialect.request(command, callIdOf(calls, this.#number));
    this.#pending.set(cookie, { done, dueMs: performance.now() + timeoutMs });
    this.#sockets[sequence % this.#sockets.length]?.send(Buffer.concat([Buffer.from(`${cookie} `), body]));
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeper);
    await Promise.all([this.#relay, ...this.#sockets].map((socket) => socket && closed(socket)));
  }

  async #beProxy(): Promise<void> {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.connect(this.#target.port, '127.0.0.1', resolve));
    socket.setRecvBufferSize(bufferBytes);
    socket.on('error', () => {});
    socket.on('message', (datagram) => this.#answered(datagram));
    this.#sockets.push(socket);
  }

  async #beRelay(relayPort: number): Promise<void> {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(relayPort, '127.0.0.1', resolve);
    });
    socket.setRecvBufferSize(bufferBytes);
    socket.on('message', (datagram, { port, address }) => {
      const end = datagram.indexOf(0x20) + 1;
      const body = this.#dialect.reply(datagram.subarray(end));
      socket.send(Buffer.concat([datagram.subarray(0, end), body]), port, address);
    });
    this.#relay = socket;
  }

  #answered(datagram: Buffer): void {
    const parts = splitDatagram(datagram);
    const pending = parts && this.#pending.get(parts.cookie);
    if (!parts || !pending) {
      return;
    }
    this.#pending.delete(parts.cookie);
    this.answerBytes = parts.body.length;
    pending.done(this.#dialect.isDone(parts.body));
  }

  #sweep(): void {
    const nowMs = performance.now();
    for (const [cookie, { done, dueMs }] of this.#pending) {
      if (dueMs > nowMs) {
        break;
      }
      this.#pending.delete(cookie);
      done(false);
    }
  }
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.close(() => resolve()));
}
