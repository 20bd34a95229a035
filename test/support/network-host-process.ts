import { setTimeout as delay } from 'node:timers/promises';
import { NgClient } from '../../services/control/ng/client.js';
import type { NgDictionary } from '../../services/control/ng/message.js';
import { UdpClient } from '../../services/control/udp/client.js';
import { PacketSocket, rtpPacket } from './rtp.js';

/** Packets from a socket to an address. */
export interface Flow {
  readonly id: number;
  readonly port: number;
  readonly address: string;
}

export interface Flood {
  readonly packets: number;
  readonly cpuSeconds: number;
}

/** What a host does on behalf of the test; it runs in a network namespace of its own, and ends with its parent. */
const sockets = new Map<number, PacketSocket>();

const tasks = {
  async open(id: number, address: string, port: number): Promise<number> {
    const opened = await PacketSocket.open(address, port);
    sockets.set(id, opened);
    opened.socket.on('message', (data, from) => process.send?.({ socket: id, data, from }));
    return opened.port;
  },
  async send(id: number, packet: Buffer, port: number, address: string): Promise<void> {
    await sockets.get(id)?.send(packet, port, address);
  },
  /** Sends a packet of each socket in turn, evenly. @returns how many packets, and the CPU time of this process */
  async flood(flows: readonly Flow[], packetsPerSecond: number, seconds: number): Promise<Flood> {
    const packet = rtpPacket(1, 1);
    const began = performance.now();
    const cpu = process.cpuUsage();
    let sent = 0;
    while (performance.now() - began < seconds * 1000) {
      for (const due = ((performance.now() - began) * packetsPerSecond) / 1000; sent < due; sent++) {
        const { id, port, address } = flows[sent % flows.length] as Flow;
        sockets.get(id)?.socket.send(packet, port, address);
      }
      await delay(2);
    }
    const { user, system } = process.cpuUsage(cpu);
    return { packets: sent, cpuSeconds: (user + system) / 1e6 };
  },
  async ng(host: string, port: number, body: NgDictionary): Promise<NgDictionary> {
    const client = new NgClient({ host, port, timeoutMs: 5000, retransmitMs: 1000 });
    await client.start();
    try {
      return await client.request(body);
    } finally {
      await client.stop();
    }
  },
  /** A command of rtpproxy's protocol. @returns the reply, without its end of line */
  async rtpproxy(host: string, port: number, command: string): Promise<string> {
    const client = new UdpClient({ host, port, timeoutMs: 5000 });
    try {
      return (await client.request(Buffer.from(command, 'latin1'))).toString('latin1').trimEnd();
    } finally {
      await client.stop();
    }
  },
  async fetch(url: string): Promise<string> {
    return (await fetch(url)).text();
  },
};

export type Tasks = typeof tasks;

export interface TaskMessage {
  readonly id: number;
  readonly task: keyof Tasks;
  readonly args: unknown[];
}

process.on('disconnect', () => process.exit());
process.on('message', ({ id, task, args }: TaskMessage) => {
  const work = tasks[task] as (...args: unknown[]) => Promise<unknown>;
  work(...args).then(
    (result) => process.send?.({ id, result }),
    (error) => process.send?.({ id, error: String(error) }),
  );
});
process.send?.({ ready: true });
