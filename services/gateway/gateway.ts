import * as fields from '../control/ng/fields.js';
import { errorReply, type NgMessage } from '../control/ng/message.js';
import { NgServer } from '../control/ng/server.js';
import { HoldfastError } from '../domain/error.js';
import type { RegisteredRelay } from '../domain/relay.js';
import type { Address } from '../runtime/address.js';
import { type Clock, sleep } from '../runtime/clock.js';
import type { Component } from '../runtime/lifecycle.js';
import type { Logger } from '../runtime/log.js';
import type { Selector } from '../selection/selector.js';
import { Admission, type AdmissionSettings } from './admission.js';
import { DeleteHandler } from './delete.js';
import type { RelayList } from './deps.js';
import { InDialogHandler } from './in-dialog.js';
import { aggregate } from './ng/aggregate.js';
import { callRequest } from './ng/call-request.js';
import type { Reply } from './ng/reply.js';
import { OfferHandler } from './offer.js';
import { RelayClients } from './relay-clients.js';

/**
 * Kamailio asks again after 1 s, and blocks a worker meanwhile; after 5 s it takes the whole gateway for dead. Every
 * answer has left by then.
 */
const budgetMs = 900;
/** A relay is waited for until then, so that there is time to say that it did not answer. */
const relayBudgetMs = 850;
const readinessPeriodMs = 10;

export interface GatewayDeps {
  readonly listen: readonly Address[];
  /** Descriptors of sockets that are open already, for the first of these. */
  readonly passed?: readonly number[];
  readonly admission: AdmissionSettings;
  readonly set: string;
  readonly callTtlSeconds: number;
  readonly selector: Selector;
  readonly directory: RelayList;
  /** Why requests cannot be served yet, or undefined. */
  readonly notReady: () => string | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Speaks rtpengine's ng protocol to unmodified SIP proxies, as if it were one rtpengine: each call goes to the relay that
 * it is bound to, whichever gateway is asked.
 */
export class Gateway implements Component {
  readonly #deps: GatewayDeps;
  readonly #server: NgServer;
  readonly #clients: RelayClients;
  readonly #admission: Admission;
  readonly #deletes: DeleteHandler;
  readonly #offers: OfferHandler;
  readonly #inDialog: InDialogHandler;
  #unsubscribe: () => void = () => {};

  constructor(deps: GatewayDeps) {
    const { clock, log } = deps;
    this.#deps = deps;
    this.#clients = new RelayClients(clock, log);
    const handlerDeps = { ...deps, clients: this.#clients };
    this.#deletes = new DeleteHandler(handlerDeps);
    this.#offers = new OfferHandler(handlerDeps, this.#deletes);
    this.#inDialog = new InDialogHandler(handlerDeps);
    this.#admission = new Admission(deps.admission, clock);
    this.#server = new NgServer({
      listen: deps.listen,
      passed: deps.passed ?? [],
      accept: (source) => this.#admission.accepts(source),
      handler: (message) => this.#handle(message),
      clock,
      log,
    });
  }

  /** The addresses that are listened on, with the real ports. */
  get addresses(): readonly Address[] {
    return this.#server.addresses();
  }

  /** Since the start, for metrics. */
  get counters(): Readonly<Record<string, number>> {
    return {
      ...this.#server.counters,
      ...this.#admission.counters,
      ...this.#offers.counters,
      ...this.#deletes.counters,
    };
  }

  /** @throws Error naming the address, if one cannot be listened on */
  async start(): Promise<void> {
    this.#unsubscribe = this.#deps.directory.subscribe(({ type, relay }) => {
      if (type === 'left') {
        this.#forget(relay);
      }
    });
    await this.#server.start();
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
    await this.#server.stop();
    await this.#deletes.stop();
    await this.#clients.stop();
  }

  #forget({ relay }: RegisteredRelay): void {
    const stillUsed = this.#deps.directory
      .list()
      .some((other) => other.relay.controlUrl === relay.controlUrl);
    if (!stillUsed) {
      void this.#clients.drop(relay.controlUrl);
    }
  }

  /** A proxy that asks just after the start is better off waiting than refused. @returns why it is in vain, if so */
  async #readiness(deadlineMs: number): Promise<string | undefined> {
    const { notReady, clock } = this.#deps;
    let reason = notReady();
    while (reason !== undefined && clock.monotonicMs() < deadlineMs) {
      await sleep(clock, readinessPeriodMs);
      reason = notReady();
    }
    return reason;
  }

  /** Always answers within the budget. */
  async #handle(message: NgMessage): Promise<Reply> {
    const deadlineMs = this.#deps.clock.monotonicMs() + relayBudgetMs;
    let cancel = () => {};
    const timedOut = new Promise<Reply>((resolve) => {
      cancel = this.#deps.clock.after(budgetMs, () => resolve(errorReply('no answer in time')));
    });
    try {
      return await Promise.race([this.#serve(message, deadlineMs), timedOut]);
    } catch (error) {
      if (error instanceof HoldfastError) {
        return errorReply(error.message);
      }
      throw error;
    } finally {
      cancel();
    }
  }

  async #serve(message: NgMessage, deadlineMs: number): Promise<Reply> {
    const { directory, set } = this.#deps;
    const command = fields.command(message.body);
    const reason = await this.#readiness(deadlineMs);
    if (reason !== undefined) {
      return errorReply(reason);
    }
    if (command === 'ping') {
      return { result: 'pong' };
    }
    const request = callRequest(message, deadlineMs);
    if (request) {
      if (command === 'offer') {
        return this.#offers.handle(request);
      }
      if (command === 'delete') {
        return this.#deletes.handle(request);
      }
      return this.#inDialog.handle(request);
    }
    if (command === 'list' || command === 'statistics') {
      return aggregate(message, directory.list(set), this.#clients);
    }
    return errorReply(command === undefined ? 'No command' : 'No call-id in message');
  }
}
