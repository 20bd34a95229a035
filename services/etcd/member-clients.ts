import type { EventEmitter } from 'node:events';
import type { Interceptor } from '@grpc/grpc-js';
import type { Etcd3, IResponseStream } from 'etcd3';
import type { TlsFiles } from '../runtime/tls-files.js';
import { trustError } from './errors.js';
import { isAnswer } from './failover.js';
import { MemberClient } from './member-client.js';

export interface MemberClientsOptions {
  /** One per member; at least one. */
  readonly endpoints: readonly string[];
  readonly tls?: TlsFiles | undefined;
  readonly timeoutMs: number;
}

/** Proves to etcd who the caller is. */
export interface Identity {
  /** Adds the proof to each call. */
  readonly interceptor: Interceptor;
  /** Resolves when there is a proof to add. @throws what etcd answered */
  prepare(): Promise<void>;
  /** The proof is possibly not valid any more. */
  forget(): void;
  /** True if the error says that etcd does not accept the proof. Nothing was done. */
  isStale(error: unknown): boolean;
}

/**
 * The members of the etcd cluster, one client each. Calls stay with one member until it fails to answer, and then go to
 * the next, in a ring: each member is asked again once those after it have failed. etcd3's own way, a random member
 * for each call, would fail every third call while one of three is down.
 */
export class MemberClients {
  readonly #options: MemberClientsOptions;
  readonly #identity: Identity | undefined;
  readonly #interceptors: readonly Interceptor[];
  readonly #clients = new Map<string, MemberClient>();
  readonly #unsubscribe: () => void;
  /** Index of the endpoint in use. */
  #current = 0;

  constructor(options: MemberClientsOptions, identity?: Identity, interceptors: readonly Interceptor[] = []) {
    this.#options = options;
    this.#identity = identity;
    this.#interceptors = identity ? [identity.interceptor, ...interceptors] : interceptors;
    this.#unsubscribe = options.tls?.subscribe(() => this.#renew()) ?? (() => {});
  }

  /** @throws EtcdTrustError, or what etcd or grpc-js answered */
  call<T>(use: (client: Etcd3) => Promise<T>): Promise<T> {
    return this.#call((client) => client.use(use));
  }

  /** @throws as `call`; the stream emits `error` for what comes later */
  async stream<T extends IResponseStream<unknown>>(open: (client: Etcd3) => Promise<T>): Promise<T> {
    const member = this.#current;
    const { stream, release } = await this.#call((client) =>
      client.use(async (etcd) => ({ stream: await open(etcd), release: client.hold() })),
    );
    const events = stream as unknown as EventEmitter;
    // etcd3's own listener would close the channel, and with it the calls under way beside this stream.
    events.removeAllListeners('error');
    // A stream that its reader gave up for being silent ends as canceled, and is no answer either.
    events.on('error', (error) => this.#leaveUnlessAnswered(member, error));
    // Emitted at any end.
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

  async #call<T>(use: (client: MemberClient) => Promise<T>): Promise<T> {
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
      this.#leaveUnlessAnswered(member, error);
      throw trustError(error) ?? error;
    }
  }

  #client(member: number): MemberClient {
    const { endpoints, tls, timeoutMs } = this.#options;
    const endpoint = endpoints[member] as string;
    let client = this.#clients.get(endpoint);
    if (!client) {
      client = new MemberClient({ endpoint, tls: tls?.current, timeoutMs, interceptors: this.#interceptors });
      this.#clients.set(endpoint, client);
    }
    return client;
  }

  /** Calls under way continue over their connections; later ones use the new certificates. */
  #renew(): void {
    for (const client of this.#clients.values()) {
      client.retire();
    }
    this.#clients.clear();
  }

  /** Of many calls that fail together only the first moves on; the others would skip members that nobody has asked. */
  #leaveUnlessAnswered(member: number, error: unknown): void {
    if (this.#current === member && !isAnswer(error)) {
      this.#current = (member + 1) % this.#options.endpoints.length;
    }
  }
}
