import {
  constants,
  type Http2Server,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import { RateLimitedWarning } from '../runtime/rate-limited-warning.js';
import { FairShare } from './fair-share.js';

/** Streams of one connection; a client queues what is above. */
const maxStreamsPerConnection = 512;
/** Unary requests in progress, of all connections. A request in progress costs about 10 KiB. */
const maxRequests = 2048;
/** Unary requests of which a part is still to come. Each may hold several buffers of 64 KiB, of which it needs a part. */
const maxPartialRequests = 128;
/** Calls that stream, of all connections: each may hold a part of a message too. */
const maxStreamingCalls = 768;
/** From its headers to the last byte of the reply. A replica itself answers in a few seconds, whatever happens. */
const requestTimeoutMs = 10_000;
/** Of the headers of one request: its Call-ID is in the message. */
const maxHeaderBytes = 16 * 1024;
/** Streams of a connection that are refused before it is closed. */
const maxRefusals = 512;
/** Of them, those that the peer has not taken note of: until it reads, each costs as much as a request in progress. */
const maxUnreadRefusals = 128;
const sweepPeriodMs = 1000;

export interface StreamGuardDeps {
  /** Paths of the methods that stream, and so have no end. */
  readonly streamingPaths: ReadonlySet<string>;
  /** A connection has its first request in progress, or no more. */
  readonly onActivity: (session: Http2Session, busy: boolean) => void;
  /** Cuts a connection at once. */
  readonly cut: (session: Http2Session) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Load {
  /** Streams that are open. */
  open: number;
  refusals: number;
  unreadRefusals: number;
}

/** Bounds what the peers of an HTTP/2 server can make it hold: requests, parts of requests, replies that they do not read. */
export class StreamGuard {
  readonly #deps: StreamGuardDeps;
  readonly #requests = new FairShare<Http2Session>(maxRequests);
  readonly #partial = new FairShare<Http2Session>(maxPartialRequests);
  readonly #streaming = new FairShare<Http2Session>(maxStreamingCalls);
  readonly #loads = new WeakMap<Http2Session, Load>();
  /** Unary requests in progress by when they began, the oldest first. */
  readonly #begun = new Map<ServerHttp2Stream, number>();
  /** Unary requests of this turn of the event loop. */
  readonly #unread: ServerHttp2Stream[] = [];
  readonly #closed: RateLimitedWarning;
  #cancelSweep = () => {};
  #stopped = false;

  constructor(deps: StreamGuardDeps) {
    this.#deps = deps;
    this.#closed = new RateLimitedWarning('gRPC connection closed', deps.clock, deps.log);
  }

  /** Decides on every stream before the server sees it. */
  guard(server: Http2Server): void {
    server.updateSettings({
      maxConcurrentStreams: maxStreamsPerConnection,
      maxHeaderListSize: maxHeaderBytes,
    });
    const serve = server.listeners('stream') as StreamListener[];
    server.removeAllListeners('stream');
    server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number) => {
      if (this.#admit(stream, headers[':path'] ?? '')) {
        for (const listener of serve) {
          listener.call(server, stream, headers, flags);
        }
      }
    });
    this.#sweepLater();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelSweep();
  }

  #admit(stream: ServerHttp2Stream, path: string): boolean {
    const { session } = stream;
    if (!session || stream.destroyed) {
      return false;
    }
    const isUnary = !this.#deps.streamingPaths.has(path);
    const share = isUnary ? this.#requests : this.#streaming;
    this.#opened(session);
    if (isUnary) {
      this.#begun.set(stream, this.#deps.clock.monotonicMs());
      this.#lookLater(stream);
    }
    stream.once('close', () => {
      this.#begun.delete(stream);
      share.remove(session);
      this.#ended(session);
    });
    const largest = share.add(session);
    // Node enforces the limit only once the peer has acknowledged it.
    if ((this.#loads.get(session)?.open ?? 0) > maxStreamsPerConnection) {
      return this.#giveWay(session, stream, session);
    }
    return largest === undefined || this.#giveWay(largest, stream, session);
  }

  /** A request that came whole has been read by the next turn of the event loop: only the others are counted. */
  #lookLater(stream: ServerHttp2Stream): void {
    if (this.#unread.push(stream) === 1) {
      setImmediate(() => {
        for (const each of this.#unread.splice(0)) {
          this.#countPartial(each);
        }
      });
    }
  }

  #countPartial(stream: ServerHttp2Stream): void {
    const { session } = stream;
    if (!session || stream.destroyed || stream.readableEnded) {
      return;
    }
    const complete = () => {
      stream.off('end', complete);
      stream.off('close', complete);
      this.#partial.remove(session);
    };
    stream.on('end', complete);
    stream.on('close', complete);
    const largest = this.#partial.add(session);
    if (largest) {
      this.#cut(largest, 'it had the most unfinished requests, and they were too many');
    }
  }

  /** False if it is the connection of the stream itself: then the stream is refused. */
  #giveWay(largest: Http2Session, stream: ServerHttp2Stream, own: Http2Session): boolean {
    if (largest !== own) {
      this.#cut(largest, 'it had the most requests in progress, and they were too many');
      return true;
    }
    const load = this.#loads.get(own);
    if (load && (++load.refusals > maxRefusals || ++load.unreadRefusals > maxUnreadRefusals)) {
      this.#cut(own, 'it went on with requests that were refused');
    } else {
      stream.once('close', () => load && load.unreadRefusals--);
      stream.on('error', () => {});
      stream.close(constants.NGHTTP2_REFUSED_STREAM);
    }
    return false;
  }

  #opened(session: Http2Session): void {
    const load = this.#loads.get(session) ?? { open: 0, refusals: 0, unreadRefusals: 0 };
    this.#loads.set(session, load);
    if (++load.open === 1) {
      this.#deps.onActivity(session, true);
    }
  }

  #ended(session: Http2Session): void {
    const load = this.#loads.get(session);
    if (load && --load.open === 0) {
      this.#deps.onActivity(session, false);
    }
  }

  #sweepLater(): void {
    this.#cancelSweep = this.#deps.clock.after(sweepPeriodMs, () => {
      this.#sweep();
      if (!this.#stopped) {
        this.#sweepLater();
      }
    });
  }

  #sweep(): void {
    const latestMs = this.#deps.clock.monotonicMs() - requestTimeoutMs;
    for (const [stream, begunAtMs] of this.#begun) {
      if (begunAtMs > latestMs) {
        return;
      }
      // A peer that does not read would not hear that the stream is closed either, and it would stay.
      if (stream.session) {
        this.#cut(
          stream.session,
          stream.readableEnded
            ? `it did not read a reply within ${requestTimeoutMs} ms`
            : `it did not finish a request within ${requestTimeoutMs} ms`,
        );
      }
    }
  }

  #cut(session: Http2Session, reason: string): void {
    this.#closed.warn({ peer: session.socket?.remoteAddress, reason });
    this.#deps.cut(session);
  }
}

type StreamListener = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number) => void;
