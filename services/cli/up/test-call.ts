import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { NgClient } from '../../control/ng/client.js';
import type { NgDictionary } from '../../control/ng/message.js';

const packets = 25;
const packetPaceMs = 4;
const hearTimeoutMs = 1000;

/** How many packets each party received of those that the other sent through the relay. */
export interface Heard {
  readonly sent: number;
  readonly byCaller: number;
  readonly byCallee: number;
}

/** A call between two parties on this machine. Its offer and answer go to a relay over ng, as from a SIP proxy. */
export class TestCall {
  readonly #caller = createSocket('udp4');
  readonly #callee = createSocket('udp4');
  /** Where the relay listens for each party's packets. */
  #callerPort = 0;
  #calleePort = 0;

  constructor(readonly callId: string) {}

  async open(): Promise<void> {
    for (const socket of [this.#caller, this.#callee]) {
      socket.bind(0, '127.0.0.1');
      await once(socket, 'listening');
    }
  }

  /** Offer and answer through the relay. @returns the two media ports that the relay gave */
  async negotiate(controlUrl: string): Promise<readonly [number, number]> {
    return withRelay(controlUrl, async (ask) => {
      const names = { 'call-id': this.callId, 'from-tag': 'caller' };
      const offer = await ask({ command: 'offer', ...names, sdp: sdpOf(this.#caller) });
      const answer = await ask({ command: 'answer', ...names, 'to-tag': 'callee', sdp: sdpOf(this.#callee) });
      this.#calleePort = audioPort(offer);
      this.#callerPort = audioPort(answer);
      return [this.#calleePort, this.#callerPort] as const;
    });
  }

  /** Both parties send RTP to the relay; resolves when all of it has arrived, or after a timeout. */
  async talk(): Promise<Heard> {
    // One packet each first, so that the relay learns both addresses before packets are counted.
    this.#send(this.#caller, this.#callerPort, 0);
    this.#send(this.#callee, this.#calleePort, 0);
    await pause(20);
    const caller = count(this.#caller);
    const callee = count(this.#callee);
    for (let sequence = 1; sequence <= packets; sequence++) {
      this.#send(this.#caller, this.#callerPort, sequence);
      this.#send(this.#callee, this.#calleePort, sequence);
      await pause(packetPaceMs);
    }
    await Promise.race([
      Promise.all([caller.reached(packets), callee.reached(packets)]),
      pause(hearTimeoutMs),
    ]);
    return { sent: packets, byCaller: caller.stop(), byCallee: callee.stop() };
  }

  close(): void {
    this.#caller.close();
    this.#callee.close();
  }

  /** RTP version 2, payload type 8 (PCMA), 20 ms (RFC 3550 section 5.1). */
  #send(from: Socket, port: number, sequence: number): void {
    const packet = Buffer.alloc(172, 0xd5);
    packet.writeUInt16BE(0x80_08, 0);
    packet.writeUInt16BE(sequence, 2);
    packet.writeUInt32BE(sequence * 160, 4);
    packet.writeUInt32BE(from.address().port, 8);
    from.send(packet, port, '127.0.0.1');
  }
}

/** Deletes the call at the relay with this control URL. */
export async function hangUp(controlUrl: string, callId: string): Promise<void> {
  await withRelay(controlUrl, (ask) => ask({ command: 'delete', 'call-id': callId, 'from-tag': 'caller' }));
}

async function withRelay<T>(
  controlUrl: string,
  use: (ask: (request: NgDictionary) => Promise<NgDictionary>) => Promise<T>,
): Promise<T> {
  const [, host = '', port = ''] = /^udp:(.+):(\d+)$/.exec(controlUrl) ?? [];
  const client = new NgClient({ host: host.replace(/^\[|\]$/g, ''), port: Number(port) });
  await client.start();
  try {
    return await use(async (request) => {
      const reply = await client.request(request);
      if (String(reply.result) !== 'ok') {
        throw new Error(
          `the relay at ${controlUrl} refused ${request.command}: ${reply['error-reason'] ?? reply.result}`,
        );
      }
      return reply;
    });
  } finally {
    await client.stop();
  }
}

function sdpOf(socket: Socket): string {
  const lines = [
    'v=0',
    'o=- 1 1 IN IP4 127.0.0.1',
    's=-',
    'c=IN IP4 127.0.0.1',
    't=0 0',
    `m=audio ${socket.address().port} RTP/AVP 8`,
    'a=rtpmap:8 PCMA/8000',
  ];
  return `${lines.join('\r\n')}\r\n`;
}

function audioPort(reply: NgDictionary): number {
  const [, port] = /^m=audio (\d+)/m.exec(String(reply.sdp)) ?? [];
  if (!port) {
    throw new Error('the relay answered without an audio port');
  }
  return Number(port);
}

/** Counts the packets that a party receives from now on. */
function count(socket: Socket) {
  let heard = 0;
  const onMessage = () => {
    heard++;
    socket.emit('counted');
  };
  socket.on('message', onMessage);
  return {
    reached: async (target: number) => {
      while (heard < target) {
        await once(socket, 'counted');
      }
    },
    stop: () => {
      socket.off('message', onMessage);
      return heard;
    },
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
