import {
  type ChannelInterface as Channel,
  connectivityState,
  type Deadline,
  Metadata,
  type StatusObject,
  status,
} from '@grpc/grpc-js';
import type { SimProcess } from '../kernel/process.js';
import type { Network } from './network.js';
import { type ClientSide, RpcConnection, unavailable } from './rpc-connection.js';
import type { InjectedStatus, RpcServer, StatusFault } from './rpc-server.js';

type Call = ReturnType<Channel['createCall']>;
type Listener = Parameters<Call['start']>[1];

/** All gRPC servers, by address, and the faults of calls to them. */
export class RpcNetwork {
  readonly #servers = new Map<string, RpcServer>();
  statusFault: StatusFault = () => undefined;
  /** Calls so far, by outcome, for the log of a run. */
  onOutcome: (client: SimProcess, target: string, path: string, code: status) => void = () => {};

  constructor(readonly network: Network) {}

  listen(server: RpcServer): void {
    this.#servers.set(server.address, server);
  }

  server(address: string): RpcServer | undefined {
    const server = this.#servers.get(address);
    return server?.process.isDead ? undefined : server;
  }

  /** A channel of that process. */
  channel(client: SimProcess, target: string): Channel {
    return new RpcChannel(this, client, target);
  }
}

/** In place of grpc-js's channel: what is above it, interceptors and (de)serialization included, is the real thing. */
class RpcChannel implements Channel {
  #connection: RpcConnection | undefined;
  #isClosed = false;

  constructor(
    private readonly rpc: RpcNetwork,
    private readonly client: SimProcess,
    private readonly target: string,
  ) {}

  /** Where a call goes; undefined if nothing listens there. */
  connect(): RpcConnection | undefined {
    if (this.#connection?.isOpen) {
      return this.#connection;
    }
    const { network } = this.rpc;
    const server = this.rpc.server(this.target);
    if (!server || network.link(this.client.host, server.process.host).carries === 'refused') {
      return undefined;
    }
    this.#connection = new RpcConnection(network, this.client, server);
    return this.#connection;
  }

  createCall(path: string, deadline: Deadline): Call {
    if (this.#isClosed) {
      throw new Error('Channel has been shut down');
    }
    const server = this.rpc.server(this.target);
    const fault = server && this.rpc.statusFault({ client: this.client, server: server.process, path });
    return new RpcCall(this, this.client, path, deadline, fault, (code) =>
      this.rpc.onOutcome(this.client, this.target, path, code),
    ) as unknown as Call;
  }

  close(): void {
    this.#isClosed = true;
    this.#connection?.close();
  }

  getTarget(): string {
    return this.target;
  }

  getConnectivityState(): connectivityState {
    return this.#connection?.isOpen ? connectivityState.READY : connectivityState.IDLE;
  }

  watchConnectivityState(): void {
    throw new Error('not simulated');
  }

  getChannelzRef(): never {
    throw new Error('not simulated');
  }
}

const refusedAfterMs = 0.5;

class RpcCall implements ClientSide {
  #listener: Listener | undefined;
  #connection: RpcConnection | undefined;
  #isOver = false;
  #reads = 0;
  #hasMetadata = false;
  readonly #received: Buffer[] = [];
  #end: StatusObject | undefined;
  #cancelDeadline = () => {};

  constructor(
    private readonly channel: RpcChannel,
    readonly client: SimProcess,
    readonly path: string,
    readonly deadline: Deadline,
    private readonly fault: InjectedStatus | undefined,
    private readonly onOutcome: (code: status) => void,
  ) {}

  start(metadata: Metadata, listener: Listener): void {
    const { client, path, deadline, fault } = this;
    this.#listener = listener;
    const leftMs = Number(deadline) - client.clock.wallMs();
    if (Number.isFinite(leftMs)) {
      this.#cancelDeadline = client.after(leftMs, () =>
        this.#abort({
          code: status.DEADLINE_EXCEEDED,
          details: 'Deadline exceeded',
          metadata: new Metadata(),
        }),
      );
    }
    if (fault && !fault.isDone) {
      client.after(1, () => this.#abort({ ...fault, metadata: new Metadata() }));
      return;
    }
    this.#connection = this.channel.connect();
    if (!this.#connection) {
      const target = this.channel.getTarget();
      client.after(refusedAfterMs, () =>
        this.receiveStatus(
          unavailable(`No connection established. Last error: connect ECONNREFUSED ${target}`),
        ),
      );
      return;
    }
    this.#connection.open(this, path, metadata.clone());
  }

  sendMessageWithContext({ callback }: { callback?: (error?: Error | null) => void }, message: Buffer): void {
    if (!this.#isOver) {
      this.#connection?.sendMessage(this, message);
    }
    if (callback) {
      process.nextTick(callback);
    }
  }

  startRead(): void {
    this.#reads++;
    this.#deliver();
  }

  halfClose(): void {
    if (!this.#isOver) {
      this.#connection?.sendEnd(this);
    }
  }

  cancelWithStatus(code: status, details: string): void {
    process.nextTick(() => this.#abort({ code, details, metadata: new Metadata() }));
  }

  receiveMessage(bytes: Buffer): void {
    if (!this.#end) {
      this.#received.push(bytes);
      this.#deliver();
    }
  }

  receiveStatus(end: StatusObject): void {
    if (this.#end) {
      return;
    }
    if (this.fault && end.code === status.OK) {
      this.#received.length = 0;
      this.#end = { ...this.fault, metadata: new Metadata() };
    } else {
      this.#end = end;
    }
    this.#deliver();
  }

  getPeer(): string {
    return this.channel.getTarget();
  }

  getCallNumber(): number {
    return 0;
  }

  setCredentials(): void {}

  getAuthContext(): null {
    return null;
  }

  /** What was received and not read is lost, as in grpc-js. */
  #abort(end: StatusObject): void {
    if (this.#isOver || this.#end) {
      return;
    }
    this.#connection?.cancel(this);
    this.#received.length = 0;
    this.#end = end;
    this.#deliver();
  }

  #deliver(): void {
    const listener = this.#listener;
    if (!listener || this.#isOver) {
      return;
    }
    // With a status to be put in place of an answer, the answer waits for the end.
    const isHeld = this.fault?.isDone === true && !this.#end;
    while (!isHeld && this.#reads > 0 && this.#received.length > 0) {
      if (!this.#hasMetadata) {
        this.#hasMetadata = true;
        listener.onReceiveMetadata(new Metadata());
      }
      this.#reads--;
      listener.onReceiveMessage(this.#received.shift());
    }
    if (this.#end && this.#received.length === 0) {
      this.#isOver = true;
      this.#cancelDeadline();
      this.onOutcome(this.#end.code);
      const end = this.#end;
      process.nextTick(() => listener.onReceiveStatus(end));
    }
  }
}
