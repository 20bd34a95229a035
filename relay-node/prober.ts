import { messageOf } from '../services/domain/error.js';
import { type Clock, sleep } from '../services/runtime/clock.js';
import type { Logger } from '../services/runtime/log.js';
import { RateLimitedWarning } from '../services/runtime/rate-limited-warning.js';
import type { RelayDriver, RelayStatus } from './relays/relay.js';

/** A proxy that asks for a call of a dead relay is kept waiting until the relay is known to be dead, 850 ms at most. */
const pingPeriodMs = 250;
/** After a miss the next ping comes sooner: a relay that died is known in a fraction of a second. */
const pingAfterMissMs = 100;
const missesToSilent = 3;
const statusPeriodMs = 1000;

export interface ProberDeps {
  readonly relay: RelayDriver;
  readonly clock: Clock;
  readonly log: Logger;
  /** The relay answers, and this is how it is doing. Must not take long, and not throw. */
  readonly onStatus: (status: RelayStatus) => void;
  /** The relay has not answered several times in a row; told once, until it answers again. */
  readonly onSilent: () => void;
}

/** Asks a relay whether it is alive and how it is doing, and waits for nothing but the relay. */
export class Prober {
  readonly #deps: ProberDeps;
  readonly #stopping = new AbortController();
  readonly #noStatus: RateLimitedWarning;
  #misses = 0;
  #status: RelayStatus | undefined;
  #pingMs: number | undefined;
  #running: Promise<void> | undefined;

  constructor(deps: ProberDeps) {
    this.#deps = deps;
    this.#noStatus = new RateLimitedWarning(
      'the relay does not tell its status',
      deps.clock,
      deps.log,
      60_000,
    );
  }

  /** The last status; undefined before the first, and while the relay is silent. */
  get status(): RelayStatus | undefined {
    return this.#status;
  }

  /** How long the relay took to answer the last ping that it answered, ms. */
  get pingMs(): number | undefined {
    return this.#pingMs;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** It is known otherwise that the relay has ended. */
  lost(): void {
    this.#status = undefined;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock } = this.#deps;
    const { signal } = this.#stopping;
    let statusAtMs = Number.NEGATIVE_INFINITY;
    while (!signal.aborted) {
      const answered = await this.#ping();
      if (answered && !signal.aborted && clock.monotonicMs() - statusAtMs >= statusPeriodMs) {
        statusAtMs = clock.monotonicMs();
        await this.#look();
      }
      await sleep(clock, answered ? pingPeriodMs : pingAfterMissMs, signal);
    }
  }

  async #ping(): Promise<boolean> {
    const { relay, clock, log } = this.#deps;
    const askedAtMs = clock.monotonicMs();
    try {
      await relay.ping();
      this.#pingMs = clock.monotonicMs() - askedAtMs;
      if (this.#misses >= missesToSilent) {
        log.info('the relay answers again');
      }
      this.#misses = 0;
      return true;
    } catch (error) {
      this.#misses++;
      if (this.#misses === missesToSilent && !this.#stopping.signal.aborted) {
        log.error({ reason: messageOf(error), misses: this.#misses }, 'the relay does not answer');
        this.#status = undefined;
        this.#deps.onSilent();
      }
      return false;
    }
  }

  async #look(): Promise<void> {
    try {
      this.#status = await this.#deps.relay.status();
    } catch (error) {
      this.#noStatus.warn({ reason: messageOf(error) });
      return;
    }
    if (!this.#stopping.signal.aborted) {
      this.#deps.onStatus(this.#status);
    }
  }
}
