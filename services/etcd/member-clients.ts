import type { EventEmitter } from 'node:events';
import type { Interceptor } from '@grpc/grpc-js';
import { noop } from 'cockatiel';
import { castGrpcError, Etcd3, type IOptions, type IResponseStream, isRecoverableError } from 'etcd3';
import type { TlsFiles } from '../runtime/tls-files.js';
import type { TlsMaterial } from '../runtime/tls-material.js';
import { trustError } from './errors.js';
import { txnOnTheWire } from './txn-codec.js';

export interface MemberOptions {
  readonly endpoints: readonly string[];
  readonly tls?: TlsFiles | undefined;
  readonly timeoutMs: number;
}

/** Proves to etcd who asks. */
export interface Identity {
  /** Adds the proof to each call. */
  readonly interceptor: Interceptor;
  /** Resolves when there is a proof to add. @throws what etcd answered */
  prepare(): Promise<void>;
  /** What was proved may not hold any more. */
  forget(): void;
  /** True if the error says that etcd does not take the proof: nothing was done. */
  isStale(error: unknown): boolean;
}

/**
 * The members of the etcd cluster, one client each. Calls stay with one member until it fails, then go to the
 * next: etcd3's own way, a random member for each call, would fail every third call while one of three is down.
 */
export class MemberClients {
  readonly #settings: MemberOptions;
  readonly #identity: Identity | undefined;
  /** Of all calls: one that a call names for itself would take the place of these. */
  readonly #interceptors: readonly Interceptor[];
  readonly #clients = new Map<string, Client>();
  readonly #unsubscribe: () => void;
  #current = 0;

  constructor(settings: MemberOptions, identity?: Identity, interceptors: readonly Interceptor[] = []) {
    this.#interceptors = identity ? [identity.interceptor, ...interceptors] : interceptors;
    this.#settings = settings;
    this.#identity = identity;
    this.#unsubscribe = settings.tls?.subscribe(() => this.#renew()) ?? (() => {});
  }

  call<T>(use: (client: Etcd3) => Promise<T>): Promise<T> {
    return this.#call((client) => client.use(use));
  }

  async stream<T extends IResponseStream<unknown>>(open: (client: Etcd3) => Promise<T>): Promise<T> {
    const member = this.#current;
    const { stream, release } = await this.#call((client) =>
      client.use(async (etcd) => ({ stream: await open(etcd), release: client.hold() })),
    );
    const events = stream as unknown as EventEmitter;
    // etcd3's own listener would close the channel, and with it the calls under way beside this stream.
    events.removeAllListeners('error');
    // A stream's errors are grpc-js's own. One that was given up for being silent ends as cancelled, and moves on too.
    events.on('error', (error) => this.#leave(member, castGrpcError(error)));
    // Whatever its end.
    events.once('status', () => {
      release();
      // A watch with a token that etcd has forgotten is refused like one that is not permitted.
      this.#identity?.forget();
    });
    return stream;
  }

  close(): void {
    this.#unsubscribe();
    for (const client of this.#clients.values()) {
      client.close();
    }
  }

  async #call<T>(use: (client: Client) => Promise<T>): Promise<T> {
    const member = this.#current;
    const identity = this.#identity;
    try {
      await identity?.prepare();
      return await use(this.#client(member)).catch(async (error) => {
        if (!identity?.isStale(error)) {
          throw error;
        }
        identity.forget();
        await identity.prepare();
        return use(this.#client(member));
      });
    } catch (error) {
      this.#leave(member, error);
      throw trustError(error) ?? error;
    }
  }

  #client(member: number): Client {
    const endpoint = this.#settings.endpoints[member] as string;
    let client = this.#clients.get(endpoint);
    if (!client) {
      client = new Client(clientOptions(endpoint, this.#settings, this.#interceptors));
      this.#clients.set(endpoint, client);
    }
    return client;
  }

  /** What is under way goes on over its connection; what comes next uses the new certificates. */
  #renew(): void {
    for (const client of this.#clients.values()) {
      client.retire();
    }
    this.#clients.clear();
  }

  /** Only the first of many calls that fail together moves on; the rest would skip members unseen. */
  #leave(member: number, error: unknown): void {
    if (this.#current === member && error instanceof Error && isRecoverableError(error)) {
      this.#current = (member + 1) % this.#settings.endpoints.length;
    }
  }
}

/** One etcd3 client, which can be retired: closed as soon as nobody uses it. */
class Client {
  readonly #etcd: Etcd3;
  #users = 0;
  #retired = false;

  constructor(options: IOptions) {
    this.#etcd = new Etcd3(options);
  }

  async use<T>(task: (etcd: Etcd3) => Promise<T>): Promise<T> {
    const release = this.hold();
    try {
      return await task(this.#etcd);
    } finally {
      release();
    }
  }

  /** Keeps it open until the returned function is called. */
  hold(): () => void {
    this.#users++;
    let held = true;
    return () => {
      if (!held) {
        return;
      }
      held = false;
      this.#users--;
      this.#closeIfIdle();
    };
  }

  retire(): void {
    this.#retired = true;
    this.#closeIfIdle();
  }

  close(): void {
    this.#etcd.close();
  }

  #closeIfIdle(): void {
    if (this.#retired && this.#users === 0) {
      this.#etcd.close();
    }
  }
}

function clientOptions(
  host: string,
  { tls, timeoutMs }: MemberOptions,
  interceptors: readonly Interceptor[],
): IOptions {
  return {
    hosts: host,
    ...(tls ? { credentials: credentialsOf(tls.current) } : {}),
    faultHandling: { host: () => noop, global: noop },
    // Streams must have no deadline: a watch is meant to last.
    defaultCallOptions: (context) => (context.isStream ? {} : { deadline: Date.now() + timeoutMs }),
    grpcOptions: {
      // Half-open connections are noticed by pings alone; etcd refuses clients that ping more often than 5 s.
      'grpc.keepalive_time_ms': 6000,
      'grpc.keepalive_timeout_ms': 2000,
      'grpc.keepalive_permit_without_calls': 1,
      // etcd may be away for long; when it is back, minutes of backoff would be an outage of our own.
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.min_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1000,
      // A page of bindings or of registrations may pass gRPC's default of 4 MiB.
      'grpc.max_receive_message_length': 64 * 1024 * 1024,
      // Each client has a channel of its own, so that closing one closes nobody else's.
      'grpc.use_local_subchannel_pool': 1,
      interceptors,
      callInvocationTransformer: txnOnTheWire,
    },
  };
}

function credentialsOf({ ca, cert, key }: TlsMaterial): NonNullable<IOptions['credentials']> {
  // Without an authority of one's own the well-known ones count, which etcd3's types do not tell.
  const rootCertificate = ca as Buffer;
  return { rootCertificate, ...(cert && key ? { certChain: cert, privateKey: key } : {}) };
}
