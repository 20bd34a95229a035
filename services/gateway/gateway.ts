import { ng } from '../control/ng/protocol.js';
import type { Address } from '../runtime/address.js';
import type { Clock } from '../runtime/clock.js';
import type { Component } from '../runtime/lifecycle.js';
import type { Logger } from '../runtime/log.js';
import { Admission, type AdmissionSettings } from './admission.js';
import { CallHandler } from './call-handler.js';
import { DeleteHandler } from './delete.js';
import type { CallRouter, RelayList } from './deps.js';
import { FormerRelays } from './former-relays.js';
import { InDialogHandler } from './in-dialog.js';
import type { GatewayListener } from './listener.js';
import { NgFront } from './ng/front.js';
import { OfferHandler } from './offer.js';
import { Readiness } from './readiness.js';
import type { RelayAccess } from './relay-clients.js';
import { RetryQueue } from './retry-queue.js';
import { UnnamedCallHandler } from './unnamed-call.js';

export interface GatewayOptions {
  readonly listeners: readonly GatewayListener[];
  /** Descriptors of sockets that are open already, for the first of these. */
  readonly passed?: readonly number[];
  readonly admission: AdmissionSettings;
  readonly callTtlSeconds: number;
}

export interface GatewayDeps {
  readonly router: CallRouter;
  readonly clients: RelayAccess;
  readonly directory: RelayList;
  /** Why requests cannot be served yet, or undefined. */
  readonly notReady: () => string | undefined;
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
  readonly #front: NgFront;

  constructor(deps: GatewayDeps, options: GatewayOptions) {
    const { clock, notReady } = deps;
    const { listeners, passed = [], callTtlSeconds } = options;
    this.#retries = new RetryQueue(deps);
    this.#admission = new Admission(options.admission, clock);
    const shared = {
      ...deps,
      retries: this.#retries,
      formerRelays: new FormerRelays({ ...deps, retries: this.#retries }),
      readiness: new Readiness(notReady, clock),
      protocol: ng,
      callTtlSeconds,
    };
    this.#offers = new OfferHandler(shared);
    const calls = new CallHandler({
      ...shared,
      offers: this.#offers,
      inDialog: new InDialogHandler(shared),
      deletes: new DeleteHandler(shared),
      unnamed: new UnnamedCallHandler(shared),
    });
    this.#front = new NgFront({ ...shared, admission: this.#admission, calls }, { listeners, passed });
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
