import { InterceptingCall, type Interceptor } from '@grpc/grpc-js';
import { noop } from 'cockatiel';
import { Etcd3, type IOptions } from 'etcd3';
import type { TlsMaterial } from '../runtime/tls-material.js';
import { staleTokenText } from './errors.js';
import { type ChannelFactory, channelWithHandshakeDeadline } from './handshake-deadline.js';
import { sharedChannel } from './shared-channel.js';
import { txnOnTheWire } from './txn-codec.js';

export interface MemberClientOptions {
  /** `http://HOST:PORT`, `https://HOST:PORT` or `HOST:PORT`. */
  readonly endpoint: string;
  readonly tls?: TlsMaterial | undefined;
  /** Limit of one unary call, ms. Streams have none. */
  readonly timeoutMs: number;
  /** For all calls: one that a call names for itself would replace these. */
  readonly interceptors: readonly Interceptor[];
  /** In place of channels over TCP. */
  readonly channel?: ChannelFactory | undefined;
}

/** An etcd3 client of one member. It can be retired, and closes then when the last user is done. */
export class MemberClient {
  readonly #etcd: Etcd3;
  #users = 0;
  #retired = false;

  /** Opens no socket: the client connects with its first call. */
  constructor(options: MemberClientOptions) {
    this.#etcd = new Etcd3(etcd3Options(options));
  }

  async use<T>(task: (etcd: Etcd3) => Promise<T>): Promise<T> {
    const release = this.hold();
    try {
      return await task(this.#etcd);
    } finally {
      release();
    }
  }

  /** Keeps the client open until the returned function is called. */
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

function etcd3Options(options: MemberClientOptions): IOptions {
  const { endpoint, tls, timeoutMs, interceptors, channel = channelWithHandshakeDeadline } = options;
  return {
    hosts: endpoint,
    ...(tls ? { credentials: credentialsOf(tls) } : {}),
    // No retries: an unseen repetition of a write would report "not created" for its own value.
    faultHandling: { host: () => noop, global: noop },
    // Streams must have no deadline: a watch is meant to last.
    defaultCallOptions: (context) => (context.isStream ? {} : { deadline: Date.now() + timeoutMs }),
    grpcOptions: {
      // Only pings detect half-open connections; etcd refuses clients that ping more often than every 5 s.
      'grpc.keepalive_time_ms': 6000,
      'grpc.keepalive_timeout_ms': 2000,
      'grpc.keepalive_permit_without_calls': 1,
      // etcd may be away for long; once it is back, a backoff of minutes would be an outage of our own.
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.min_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1000,
      // A name may have another address as soon as the former one fails; grpc-js would wait for 30 s to look it up again.
      'grpc.dns_min_time_between_resolutions_ms': 1000,
      // A page of bindings or registrations may exceed gRPC's default of 4 MiB.
      'grpc.max_receive_message_length': 16 * 1024 * 1024,
      // Each client has its own channel, so that closing one client affects no other.
      'grpc.use_local_subchannel_pool': 1,
      interceptors: [hideInvalidToken, ...interceptors],
      callInvocationTransformer: txnOnTheWire,
      channelFactoryOverride: sharedChannel(channel),
    },
  };
}

/** etcd3 repeats a call that is answered so at once and for ever, with or without a login. */
const hideInvalidToken: Interceptor = (options, nextCall) =>
  new InterceptingCall(nextCall(options), {
    start: (metadata, _listener, next) =>
      next(metadata, {
        onReceiveStatus: (status, pass) =>
          pass(
            status.details.includes('invalid auth token') ? { ...status, details: staleTokenText } : status,
          ),
      }),
  });

function credentialsOf({ ca, cert, key }: TlsMaterial): NonNullable<IOptions['credentials']> {
  // Undefined means the well-known authorities, although etcd3's types do not say so.
  const rootCertificate = ca as Buffer;
  return { rootCertificate, ...(cert && key ? { certChain: cert, privateKey: key } : {}) };
}
