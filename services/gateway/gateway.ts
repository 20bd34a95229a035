import type { Address } from '../runtime/address.js';
import type { Clock } from '../runtime/clock.js';
import type { Component } from '../runtime/lifecycle.js';
import type { Logger } from '../runtime/log.js';
import type { FrontMetrics } from '../selection/front-metrics.js';
import { RefusedCalls } from '../selection/refused-calls.js';
import { Admission, type AdmissionSettings } from './admission.js';
import { CallHandler } from './call-handler.js';
import type { CallMemory } from './call-memory.js';
import { DeleteHandler } from './delete.js';
import type { CallRouter, RelayList } from './deps.js';
import { FormerRelays } from './former-relays.js';
import type { Front, FrontDeps } from './front.js';
import { InDialogHandler } from './in-dialog.js';
import { OfferHandler } from './offer.js';
import { OrphanedSessions } from './orphaned-sessions.js';
import { Readiness } from './readiness.js';
import type { RelayAccess } from './relay-clients.js';
import { RetryQueue } from './retry-queue.js';
import { UnnamedCallHandler } from './unnamed-call.js';

export interface GatewayOptions {
  readonly admission: AdmissionSettings;
  readonly callTtlSeconds: number;
}

export interface GatewayDeps {
  readonly router: CallRouter;
  readonly clients: RelayAccess;
  readonly directory: RelayList;
  /** For the calls of one protocol. */
  readonly memory: CallMemory;
  readonly openFront: (deps: FrontDeps) => Front;
  /** Why requests cannot be served yet, or undefined. */
  readonly notReady: () => string | undefined;
  readonly metrics: FrontMetrics;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Speaks a relay's control protocol to unmodified SIP proxies, as if it were one relay: each call goes to the relay that it is
 * bound to, whichever gateway is asked.
 */
export class Gateway implements Component {
  readonly #retries: RetryQueue;
  readonly #admission: Admission;
  readonly #offers: OfferHandler;
  readonly #front: Front;

  constructor(deps: GatewayDeps, options: GatewayOptions) {
    const { clock, notReady, openFront } = deps;
    const { callTtlSeconds } = options;
    this.#retries = new RetryQueue(deps);
    this.#admission = new Admission(options.admission, clock);
    const orphans = new OrphanedSessions({ ...deps, retries: this.#retries });
    const shared = {
      ...deps,
      refused: new RefusedCalls(deps),
      retries: this.#retries,
      orphans,
      formerRelays: new FormerRelays({ ...deps, orphans }),
      readiness: new Readiness(notReady, clock),
      callTtlSeconds,
    };
    this.#offers = new OfferHandler(shared);
    const deletes = new DeleteHandler(shared);
    const calls = new CallHandler({
      ...shared,
      offers: this.#offers,
      inDialog: new InDialogHandler(shared),
      deletes,
      unnamed: new UnnamedCallHandler(shared),
    });
    this.#front = openFront({ ...shared, admission: this.#admission, calls, deletes });
  }

  /** The addresses that are listened on, with the real ports. */
  get addresses(): readonly Address[] {
    return this.#front.addresses;
  }

  /** Since the start, for metrics. */
  get counters(): Readonly<Record<string, number>> {
    return {
      ...this.#front.counters,
      ...this.#admission.counters,
      ...this.#offers.counters,
      ...this.#retries.counters,
    };
  }

  /** @throws Error naming the address, if one cannot be listened on */
  async start(): Promise<void> {
    await this.#front.start();
  }

  async stop(): Promise<void> {
    await this.#front.stop();
    await this.#retries.stop();
  }
}
