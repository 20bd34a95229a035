import type { EventEmitter } from 'node:events';
import type { Interceptor } from '@grpc/grpc-js';
import type { Etcd3, IMemberListResponse, IResponseHeader, IResponseStream } from 'etcd3';
import type { TlsFiles } from '../runtime/tls-files.js';
import { WrongClusterError } from './cluster-guard.js';
import type { Endpoints } from './endpoints.js';
import { trustError } from './errors.js';
import { isAnswer, isSilence } from './failover.js';
import type { ChannelFactory } from './handshake-deadline.js';
import { MemberClient } from './member-client.js';

export interface MemberClientsOptions {
  readonly endpoints: Endpoints;
  readonly tls?: TlsFiles | undefined;
  readonly timeoutMs: number;
  /** Throws if what came over a stream must not be used: the stream ends with that error. */
  readonly check?: (endpoint: string, clusterId: string) => void;
  /** Called when an endpoint has not answered a call. */
  readonly onUnanswered?: (endpoint: string) => void;
  /** In place of channels over TCP. */
  readonly channel?: ChannelFactory | undefined;
}

/** A member's answer about the cluster, and where it came from. */
export interface ListAnswer {
  readonly endpoint: string;
  readonly response: IMemberListResponse;
}

/** Calls in a row without an answer after which the connection itself is suspect: its address may be out of date. */
const silentCalls = 4;

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
  /** Open streams, by endpoint. */
  readonly #streams = new Map<string, Set<{ cancel(): void }>>();
  /** Calls without an answer since the last one, by endpoint. */
  readonly #silences = new Map<string, number>();
  readonly #unsubscribe: () => void;
  /** The endpoint in use. */
  #current: string;

  constructor(options: MemberClientsOptions, identity?: Identity, interceptors: readonly Interceptor[] = []) {
    this.#options = options;
    this.#current = options.endpoints.all[0] as string;
    this.#identity = identity;
    this.#interceptors = identity ? [identity.interceptor, ...interceptors] : interceptors;
    this.#unsubscribe = options.tls?.subscribe(() => this.#renew()) ?? (() => {});
  }

  /** @throws EtcdTrustError, or what etcd or grpc-js answered */
  call<T>(use: (client: Etcd3, endpoint: string) => Promise<T>): Promise<T> {
    return this.#call((client, endpoint) => client.use((etcd) => use(etcd, endpoint)));
  }

  /** @throws as `call`; the stream emits `error` for what comes later */
  async stream<T extends IResponseStream<unknown> & { cancel(): void }>(
    open: (client: Etcd3) => Promise<T>,
  ): Promise<T> {
    const { stream, release, endpoint } = await this.#call((client, endpoint) =>
      client.use(async (etcd) => ({ stream: await open(etcd), release: client.hold(), endpoint })),
    );
    const events = stream as unknown as EventEmitter;
    const openStreams = this.#streamsOf(endpoint);
    openStreams.add(stream);
    const { check } = this.#options;
    if (check) {
      checkMessages(events, (clusterId) => check(endpoint, clusterId));
    }
    // etcd3's own listener would close the channel, and with it the calls under way beside this stream.
    events.removeAllListeners('error');
    // A stream that its reader gave up for being silent ends as canceled, and is no answer either.
    events.on('error', (error) => {
      this.#leaveUnlessAnswered(endpoint, error);
      if (error instanceof WrongClusterError) {
        this.#retire(endpoint);
      }
    });
    // Emitted at any end.
    events.once('status', () => {
      openStreams.delete(stream);
      release();
      // A watch with a token that etcd has forgotten is refused like one that is not permitted.
      this.#identity?.forget();
    });
    return stream;
  }

  /**
   * Asks this member who the members are, whichever is in use.
   * @throws what etcd or grpc-js answered
   */
  async list(endpoint: string, timeoutMs: number): Promise<ListAnswer> {
    await this.#identity?.prepare();
    const response = await this.#client(endpoint).use((etcd) =>
      etcd.cluster.memberList({}, { deadline: Date.now() + timeoutMs }),
    );
    return { endpoint, response };
  }

  /**
   * Asks the members to which streams are open who the members are, over the same connections. Those of one that is
   * silent end: an address may have moved, or a host be gone, and TCP would notice much later.
   * @returns the answers; none where no stream is open
   */
  async check(timeoutMs: number): Promise<ListAnswer[]> {
    const inUse = [...this.#streams].filter(([, streams]) => streams.size > 0);
    const answers = await Promise.all(inUse.map(([endpoint]) => this.#check(endpoint, timeoutMs)));
    return answers.filter((answer) => answer !== undefined);
  }

  /** Closes connections to members that are not in use. */
  trim(): void {
    for (const endpoint of this.#clients.keys()) {
      if (endpoint !== this.#current && !this.#streams.get(endpoint)?.size) {
        this.#retire(endpoint);
      }
    }
  }

  close(): void {
    this.#unsubscribe();
    for (const client of this.#clients.values()) {
      client.close();
    }
  }

  async #call<T>(use: (client: MemberClient, endpoint: string) => Promise<T>): Promise<T> {
    const endpoint = this.#current;
    const identity = this.#identity;
    try {
      await identity?.prepare();
      const result = await use(this.#client(endpoint), endpoint).catch(async (error) => {
        if (!identity?.isStale(error)) {
          throw error;
        }
        identity.forget();
        await identity.prepare();
        return use(this.#client(endpoint), endpoint);
      });
      this.#silences.delete(endpoint);
      return result;
    } catch (error) {
      this.#leaveUnlessAnswered(endpoint, error);
      // One address may lead to several servers: the next connection may find another.
      if (error instanceof WrongClusterError || this.#isSilent(endpoint, error)) {
        this.#retire(endpoint);
      }
      throw trustError(error) ?? error;
    }
  }

  /** Once: after a silence etcd3 connects anew, and another try would say nothing of the connection of the streams. */
  async #check(endpoint: string, timeoutMs: number): Promise<ListAnswer | undefined> {
    try {
      return await this.list(endpoint, timeoutMs);
    } catch (error) {
      if (isSilence(error)) {
        this.#leaveUnlessAnswered(endpoint, error);
        this.#retire(endpoint);
        for (const stream of this.#streamsOf(endpoint)) {
          stream.cancel();
        }
      }
      return undefined;
    }
  }

  /** Whether this is the last of so many calls in a row without an answer. */
  #isSilent(endpoint: string, error: unknown): boolean {
    const count = isSilence(error) ? (this.#silences.get(endpoint) ?? 0) + 1 : 0;
    this.#silences.set(endpoint, count % silentCalls);
    return count === silentCalls;
  }

  #streamsOf(endpoint: string): Set<{ cancel(): void }> {
    let streams = this.#streams.get(endpoint);
    if (!streams) {
      streams = new Set();
      this.#streams.set(endpoint, streams);
    }
    return streams;
  }

  #client(endpoint: string): MemberClient {
    const { tls, timeoutMs, channel } = this.#options;
    let client = this.#clients.get(endpoint);
    if (!client) {
      client = new MemberClient({
        endpoint,
        tls: tls?.current,
        timeoutMs,
        interceptors: this.#interceptors,
        channel,
      });
      this.#clients.set(endpoint, client);
    }
    return client;
  }

  /** Later calls connect anew, and look its name up again. */
  #retire(endpoint: string): void {
    this.#clients.get(endpoint)?.retire();
    this.#clients.delete(endpoint);
    if (!this.#streams.get(endpoint)?.size) {
      this.#streams.delete(endpoint);
    }
  }

  /** Calls under way continue over their connections; later ones use the new certificates. */
  #renew(): void {
    for (const client of this.#clients.values()) {
      client.retire();
    }
    this.#clients.clear();
  }

  /** Of many calls that fail together only the first moves on; the others would skip members that nobody has asked. */
  #leaveUnlessAnswered(endpoint: string, error: unknown): void {
    const { endpoints, onUnanswered } = this.#options;
    if (isAnswer(error)) {
      return;
    }
    onUnanswered?.(endpoint);
    if (this.#current === endpoint) {
      this.#current = endpoints.after(endpoint);
    }
  }
}

/** Ends the stream with an error instead of a message for which `check` throws. */
function checkMessages(stream: EventEmitter, check: (clusterId: string) => void): void {
  const emit = stream.emit.bind(stream);
  let isRefused = false;
  // A listener of its own could not keep a message from the others.
  stream.emit = (event: string, ...args: unknown[]) => {
    if (event !== 'data') {
      return emit(event, ...args);
    }
    try {
      if (!isRefused) {
        check((args[0] as { header: IResponseHeader }).header.cluster_id);
        return emit(event, ...args);
      }
    } catch (error) {
      if (!(error instanceof WrongClusterError)) {
        throw error;
      }
      isRefused = true;
      emit('error', error);
      (stream as unknown as { cancel(): void }).cancel();
    }
    return true;
  };
}
