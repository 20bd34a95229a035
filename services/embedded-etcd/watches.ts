import type { WatchRequest, WatchResponse, WatchServer } from '../../proto/generated/etcd/rpc.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import { type Connection, duplex, type OpenCalls } from './handlers.js';
import type { EtcdState } from './state.js';
import { WatchStream } from './watch-stream.js';

/** The open watch streams, and the timer of their progress notices. */
export class Watches {
  readonly #streams = new Set<WatchStream>();
  readonly #state: EtcdState;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #progressIntervalMs: number;
  #cancelTimer: (() => void) | undefined;

  constructor(state: EtcdState, clock: Clock, log: Logger, progressIntervalMs: number) {
    this.#state = state;
    this.#clock = clock;
    this.#log = log;
    this.#progressIntervalMs = progressIntervalMs;
  }

  start(): void {
    this.#cancelTimer = this.#clock.after(this.#progressIntervalMs, () => {
      for (const stream of this.#streams) {
        stream.notifyProgress();
      }
      this.start();
    });
  }

  stop(): void {
    this.#cancelTimer?.();
  }

  service(calls: OpenCalls): WatchServer {
    return {
      watch: duplex(this.#log, calls, (connection: Connection<WatchResponse>) => this.#open(connection)),
    };
  }

  #open(connection: Connection<WatchResponse>) {
    const { keyspace, watchHub } = this.#state;
    const stream = new WatchStream(keyspace, watchHub, connection, (revision) =>
      this.#state.header(revision),
    );
    this.#streams.add(stream);
    return {
      handle: (request: WatchRequest) => stream.handle(request),
      drained: () => stream.drained(),
      close: () => {
        this.#streams.delete(stream);
        stream.close();
      },
    };
  }
}
