import { Metadata, type StatusObject, status } from '@grpc/grpc-js';
import type { SimProcess } from '../kernel/process.js';
import type { Network } from './network.js';
import type { RpcServer, ServerCall } from './rpc-server.js';
import { Stream } from './stream.js';

/** What a server can do with a call. */
export interface ServerSide {
  readonly peer: string;
  /** @returns false if the server should wait for `drain` */
  sendMessage(bytes: Buffer): boolean;
  sendStatus(end: StatusObject): void;
}

/** What a call of a client hears. */
export interface ClientSide {
  receiveMessage(bytes: Buffer): void;
  receiveStatus(end: StatusObject): void;
}

/** As the etcd client is configured: a ping every 6 s, and 2 s to answer it. */
const pingPeriodMs = 6000;
const pingTimeoutMs = 2000;

export const unavailable = (details: string): StatusObject => ({
  code: status.UNAVAILABLE,
  details,
  metadata: new Metadata(),
});

/** One connection of a gRPC client, with the calls that are open on it. */
export class RpcConnection {
  readonly #calls = new Set<ClientSide>();
  readonly #serverCalls = new Map<ClientSide, ServerCall>();
  readonly #there: Stream;
  readonly #back: Stream;
  #isOpen = true;
  #cancelPing = () => {};
  readonly #unsubscribe: () => void;

  constructor(
    readonly network: Network,
    private readonly client: SimProcess,
    private readonly server: RpcServer,
  ) {
    this.#there = new Stream(network, client, server.process);
    this.#back = new Stream(network, server.process, client);
    this.#back.onDrain(() => {
      for (const call of [...this.#serverCalls.values()]) {
        call.emit('drain');
      }
    });
    server.process.onDeath(() => this.#reset());
    client.onDeath(() => this.#clientDied());
    this.#unsubscribe = network.onChange(() => {
      if (network.link(client.host, server.process.host).carries === 'refused') {
        this.#reset();
      }
    });
    this.#schedulePing();
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  open(call: ClientSide, path: string, metadata: Metadata): void {
    this.#calls.add(call);
    const side: ServerSide = {
      peer: this.client.host.address,
      sendMessage: (bytes) => this.#back.send(() => this.#calls.has(call) && call.receiveMessage(bytes)),
      sendStatus: (end) => {
        this.#serverCalls.delete(call);
        this.#back.send(() => this.#end(call, end));
      },
    };
    this.#there.send(() => {
      if (this.#isOpen) {
        this.#serverCalls.set(call, this.server.accept(side, path, metadata));
      }
    });
  }

  sendMessage(call: ClientSide, bytes: Buffer): void {
    this.#there.send(() => this.#serverCalls.get(call)?.receive(bytes));
  }

  sendEnd(call: ClientSide): void {
    this.#there.send(() => this.#serverCalls.get(call)?.receiveEnd());
  }

  cancel(call: ClientSide): void {
    this.#calls.delete(call);
    this.#there.send(() => {
      this.#serverCalls.get(call)?.cancel();
      this.#serverCalls.delete(call);
    });
  }

  close(): void {
    this.#break(unavailable('The client has been closed'));
  }

  #end(call: ClientSide, end: StatusObject): void {
    if (this.#calls.delete(call)) {
      call.receiveStatus(end);
    }
  }

  /** The client hears of it, if packets get there. */
  #reset(): void {
    const { network, client, server } = this;
    this.#there.cut();
    this.#back.cut();
    network.sendSegment(server.process.host, client.host, () =>
      client.after(network.delayMs(server.process.host, client.host), () =>
        this.#break(unavailable('Connection dropped: read ECONNRESET')),
      ),
    );
    this.#endServerCalls();
  }

  #clientDied(): void {
    this.#isOpen = false;
    this.#unsubscribe();
    this.#calls.clear();
    this.#endServerCalls();
  }

  #break(end: StatusObject): void {
    if (!this.#isOpen) {
      return;
    }
    this.#isOpen = false;
    this.#unsubscribe();
    this.#cancelPing();
    this.#there.cut();
    this.#back.cut();
    for (const call of [...this.#calls]) {
      this.#end(call, end);
    }
    this.#endServerCalls();
  }

  #endServerCalls(): void {
    const calls = [...this.#serverCalls.values()];
    this.#serverCalls.clear();
    const { process, survivor = process } = this.server;
    (process.isDead ? survivor : process).enter(() => {
      for (const call of calls) {
        call.cancel();
      }
    });
  }

  #schedulePing(): void {
    const { client, network, server } = this;
    this.#cancelPing = client.after(pingPeriodMs, () => {
      if (network.reaches(client, server.process) && !server.process.isDead) {
        return this.#schedulePing();
      }
      this.#cancelPing = client.after(pingTimeoutMs, () => {
        if (network.reaches(client, server.process) && !server.process.isDead) {
          return this.#schedulePing();
        }
        this.#break(unavailable('Connection dropped: keepalive timeout'));
      });
    });
  }
}
