import { remainingSeconds, type StoredBinding } from '../../domain/binding.js';
import { messageOf } from '../../domain/error.js';
import type { RegisteredRelay } from '../../domain/relay.js';
import { type Clock, sleep } from '../../runtime/clock.js';
import { each } from '../../runtime/each.js';
import type { Logger } from '../../runtime/log.js';
import type { Selector } from '../selector.js';
import type { TtlPolicy } from '../ttl-policy.js';
import { isCarried, type RelayInquiry } from './relay-inquiry.js';

/** A binding that has less than its TTL left is due: its lease is half a TTL longer. */
const looksPerTtl = 6;
const periodLimitsMs = { least: 2000, most: 60_000 };
/** Calls that relays are asked for at once. */
const maxInquiries = 32;
/** So many calls of one relay are better asked for by its list. */
const worthList = 50;

export interface BindingKeeperDeps {
  readonly store: { list(): AsyncIterable<StoredBinding> };
  readonly selector: Pick<Selector, 'renew'>;
  readonly ttlPolicy: TtlPolicy;
  readonly inquiry: RelayInquiry;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Keeps the bindings of calls that relays carry: a binding lives at least as long as its media, and the TTL is only the
 * safety net for calls that nobody ends. All replicas look; the first that finds a binding due renews it.
 */
export class BindingKeeper {
  readonly #deps: BindingKeeperDeps;
  readonly #stopping = new AbortController();
  /** The shortest TTL of all bindings, as far as this replica knows. */
  #shortestTtlSeconds: number;
  #running: Promise<void> | undefined;
  /** Since the start, for metrics. */
  readonly counters = { renewed: 0, notCarried: 0, unknown: 0 };

  constructor(deps: BindingKeeperDeps) {
    this.#deps = deps;
    this.#shortestTtlSeconds = this.#defaultTtlSeconds;
  }

  /** A call was bound for that long. */
  heed(ttlSeconds: number): void {
    this.#shortestTtlSeconds = Math.min(this.#shortestTtlSeconds, ttlSeconds);
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { log } = this.#deps;
    const { signal } = this.#stopping;
    for (;;) {
      await this.#pause(signal);
      if (signal.aborted) {
        return;
      }
      const shortest = this.#shortestTtlSeconds;
      try {
        await this.look();
      } catch (error) {
        this.heed(shortest);
        log.debug({ reason: messageOf(error) }, 'bindings not kept; trying again');
      }
    }
  }

  /** A call with a shorter TTL may be bound meanwhile. */
  async #pause(signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    const startedAtMs = clock.monotonicMs();
    // Replicas that started together do not look together.
    const jitter = 0.75 + Math.random() / 2;
    const remainingMs = () => {
      const wantedMs = (this.#shortestTtlSeconds * 1000) / looksPerTtl;
      const periodMs = Math.min(periodLimitsMs.most, Math.max(periodLimitsMs.least, wantedMs));
      return startedAtMs + periodMs * jitter - clock.monotonicMs();
    };
    for (let ms = remainingMs(); ms > 0 && !signal.aborted; ms = remainingMs()) {
      await sleep(clock, Math.min(ms, periodLimitsMs.least), signal);
    }
  }

  get #defaultTtlSeconds(): number {
    const { setupTtlSeconds, callTtlSeconds } = this.#deps.ttlPolicy.settings;
    return Math.min(setupTtlSeconds, callTtlSeconds);
  }

  /** Looks at all bindings once. @throws HoldfastError `unavailable` */
  async look(): Promise<void> {
    const { store, ttlPolicy, clock } = this.#deps;
    const due = new Map<RegisteredRelay, StoredBinding[]>();
    this.#shortestTtlSeconds = this.#defaultTtlSeconds;
    for await (const stored of store.list()) {
      if (this.#stopping.signal.aborted) {
        return;
      }
      const { binding } = stored;
      this.heed(binding.ttlSeconds);
      const isDue = remainingSeconds(binding, clock.wallMs()) < binding.ttlSeconds;
      const relay = binding.state !== 'released' && isDue ? ttlPolicy.relayOf(binding) : undefined;
      if (!relay) {
        continue;
      }
      const ofRelay = due.get(relay) ?? [];
      due.set(relay, ofRelay);
      ofRelay.push(stored);
    }
    await Promise.all([...due].map(([relay, ofRelay]) => this.#keep(relay, ofRelay)));
  }

  async #keep(relay: RegisteredRelay, due: readonly StoredBinding[]): Promise<void> {
    const { inquiry } = this.#deps;
    const listed = due.length >= worthList ? await inquiry.list(relay) : undefined;
    await each(due, maxInquiries, async (stored) => {
      await this.#judge(stored, await isCarried(inquiry, relay, stored.binding.call, listed));
    });
  }

  async #judge({ binding }: StoredBinding, carried: boolean | undefined): Promise<void> {
    if (carried === undefined) {
      this.counters.unknown++;
    } else if (!carried) {
      this.counters.notCarried++;
    } else {
      await this.#deps.selector.renew(binding);
      this.counters.renewed++;
    }
  }
}
