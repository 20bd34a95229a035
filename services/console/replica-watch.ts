import type { HoldfastClient } from '../client/index.js';
import { reasonOf } from '../domain/error.js';
import type { RecordedEvent } from '../domain/recorded-event.js';
import type { AbsentIntent, GoneRelay, RegisteredRelay } from '../domain/relay.js';
import type { ReplicaStatus } from '../domain/status.js';
import { type Clock, sleep } from '../runtime/clock.js';
import { absentOf, eventOf, goneRelayOf, relayOf, statusOf } from './messages.js';

export interface ReplicaWatchDeps {
  readonly clock: Clock;
  /** Of this replica alone. */
  readonly client: HoldfastClient;
  /** It answered, or did not. */
  readonly onAnswer: () => void;
  readonly onEvent: (event: Omit<RecordedEvent, 'sequence'>) => void;
}

/** What a replica told last. */
export interface ReplicaView {
  readonly status: ReplicaStatus;
  /** Whether it hears of changes as they happen. */
  readonly fresh: boolean;
  readonly relays: readonly RegisteredRelay[];
  readonly gone: readonly GoneRelay[];
  readonly absent: readonly AbsentIntent[];
  /** By the monotonic clock. */
  readonly heardAtMs: number;
}

const pollMs = 1000;
const daySeconds = 86_400;

/** Follows one replica: asks each second how it is, and hears its events. Goes on until it is stopped. */
export class ReplicaWatch {
  readonly #deps: ReplicaWatchDeps;
  readonly #stopping = new AbortController();
  #view: ReplicaView | undefined;
  #failure: string | undefined;
  /** Of the last event: one that is told again after a new connection is no news. */
  #last = { atMs: 0, sequence: 0n };

  constructor(deps: ReplicaWatchDeps) {
    this.#deps = deps;
  }

  get target(): string {
    return this.#deps.client.targets.join(', ');
  }

  /** Undefined before the first answer. */
  get view(): ReplicaView | undefined {
    return this.#view;
  }

  /** Why it does not answer; undefined while it does, and before it was asked. */
  get failure(): string | undefined {
    return this.#failure;
  }

  start(): void {
    void this.#poll();
    void this.#listen();
  }

  /** What is under way ends with its client. */
  stop(): void {
    this.#stopping.abort();
  }

  async #poll(): Promise<void> {
    const { clock, client, onAnswer } = this.#deps;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        const [told, list] = await Promise.all([client.getStatus(), client.listRelays()]);
        const status = statusOf(told);
        const nowMs = clock.monotonicMs();
        const ageMsOf = (reportTime: Date) => Math.max(0, status.atMs - reportTime.getTime());
        this.#view = {
          status,
          fresh: list.fresh,
          relays: list.relays.map((relay) => relayOf(relay, ageMsOf, nowMs)),
          gone: list.gone.flatMap(goneRelayOf),
          absent: list.absent.map(absentOf),
          heardAtMs: nowMs,
        };
        this.#failure = undefined;
      } catch (error) {
        this.#failure = reasonOf(error);
      }
      if (!signal.aborted) {
        onAnswer();
      }
      await sleep(clock, pollMs, signal);
    }
  }

  async #listen(): Promise<void> {
    const { clock, client, onEvent } = this.#deps;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        for await (const { event } of client.watchEvents({ sinceSeconds: daySeconds, follow: true })) {
          if (signal.aborted) {
            return;
          }
          const atMs = event?.time?.getTime() ?? 0;
          if (
            event &&
            (atMs > this.#last.atMs || (atMs === this.#last.atMs && event.sequence > this.#last.sequence))
          ) {
            this.#last = { atMs, sequence: event.sequence };
            onEvent(eventOf(event));
          }
        }
      } catch {
        // The poll tells why.
      }
      await sleep(clock, pollMs, signal);
    }
  }
}
