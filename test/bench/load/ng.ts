import { createSocket, type Socket } from 'node:dgram';
import { encodeBody } from '../../../services/control/ng/message.js';
import { splitDatagram } from '../../../services/control/udp/datagram.js';
import { audioSdp } from '../../support/ng.js';
import type { NgCommand, Target } from './job.js';
import type { Operations } from './operations.js';
import { callIdOf, Numbers } from './requests.js';

type NgTarget = Extract<Target, { kind: 'ng' }>;

/** The same as Kamailio's. */
const timeoutMs = 1000;
const proxies = 4;
const bufferBytes = 4 << 20;

/** Acts as the SIP proxies in front of a gateway and, on another port, as the relay behind it. */
export class NgCommands implements Operations {
  readonly size = 1;
  readonly unexpected = 0;
  answerBytes = 0;
  readonly #target: NgTarget;
  readonly #numbers: Numbers;
  readonly #sockets: Socket[] = [];
  readonly #pending = new Map<string, { done: (succeeded: boolean) => void; dueMs: number }>();
  readonly #sdp = audioSdp({ address: '192.0.2.1', port: 40_000 });
  readonly #sweeper: NodeJS.Timeout;
  #relay: Socket | undefined;
  #sequence = 0;
  /** The number of the call whose commands are under way. */
  #number = 0;

  private constructor(target: NgTarget) {
    this.#target = target;
    this.#numbers = new Numbers(target.calls);
    this.#sweeper = setInterval(() => this.#sweep(), 100);
  }

  static async open(target: NgTarget): Promise<NgCommands> {
    const commands = new NgCommands(target);
    await commands.#beRelay();
    for (let i = 0; i < proxies; i++) {
      await commands.#beProxy();
    }
    return commands;
  }

  start(done: (succeeded: boolean) => void): void {
    const { calls, commands } = this.#target;
    const sequence = this.#sequence++;
    const command = commands[sequence % commands.length] as NgCommand;
    if (sequence % commands.length === 0) {
      this.#number = this.#numbers.next();
    }
    const cookie = `bench${sequence.toString(36)}`;
    const body = encodeBody(request(command, callIdOf(calls, this.#number), this.#sdp), 'bencode');
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

  async #beRelay(): Promise<void> {
    const socket = createSocket('udp4');
    const done = encodeBody({ result: 'ok' }, 'bencode');
    const withSdp = encodeBody(
      { result: 'ok', sdp: audioSdp({ address: '127.0.0.1', port: 30_000 }) },
      'bencode',
    );
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(this.#target.relayPort, '127.0.0.1', resolve);
    });
    socket.setRecvBufferSize(bufferBytes);
    socket.on('message', (datagram, { port, address }) => {
      const end = datagram.indexOf(0x20) + 1;
      const body = datagram.includes('3:sdp', end) ? withSdp : done;
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
    pending.done(parts.body.includes('2:ok'));
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

/** In the format of Kamailio's rtpengine module. */
function request(command: NgCommand, callId: string, sdp: string) {
  const inDialog = command !== 'offer';
  return {
    ...(command === 'query' || command === 'delete'
      ? {}
      : {
          supports: ['load limit'],
          sdp,
          ICE: 'remove',
          replace: ['origin', 'session-connection'],
          'received-from': ['IP4', '127.0.0.1'],
        }),
    'call-id': callId,
    'from-tag': 'caller-tag-4711',
    ...(inDialog ? { 'to-tag': 'callee-tag-0815' } : {}),
    command: command === 'reoffer' ? 'offer' : command,
  };
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.close(() => resolve()));
}
