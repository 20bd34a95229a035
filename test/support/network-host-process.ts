import { NgClient } from '../../services/control/ng/client.js';
import type { NgDictionary } from '../../services/control/ng/message.js';
import { PacketSocket } from './rtp.js';

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
  async ng(host: string, port: number, body: NgDictionary): Promise<NgDictionary> {
    const client = new NgClient({ host, port, timeoutMs: 5000, retransmitMs: 1000 });
    await client.start();
    try {
      return await client.request(body);
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
