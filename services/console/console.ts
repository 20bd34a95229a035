import { randomBytes } from 'node:crypto';
import { status } from '@grpc/grpc-js';
import { Registry } from 'prom-client';
import { type HoldfastClient, HoldfastRpcError } from '../client/index.js';
import type { Call } from '../domain/call.js';
import { HoldfastError } from '../domain/error.js';
import { Page } from '../page/page.js';
import type { Address } from '../runtime/address.js';
import type { Clock } from '../runtime/clock.js';
import { HttpServer } from '../runtime/http-server.js';
import type { Logger } from '../runtime/log.js';
import type { Answer } from '../selection/requests.js';
import { Actions } from './actions.js';
import { Fleet } from './fleet.js';
import { bindingOf, freshnessOf, relayOf } from './messages.js';

export interface ConsoleDeps {
  /** A loopback address: whoever can connect can act as the operator. */
  readonly listen: Address;
  /** One for each replica. */
  readonly clients: readonly HoldfastClient[];
  /** Asks any of them. */
  readonly client: HoldfastClient;
  readonly actor: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The page of all replicas together, on the operator's own machine, with what an operator does as buttons. */
export class Console {
  readonly #fleet: Fleet;
  readonly #http: HttpServer;

  constructor({ listen, clients, client, actor, clock, log }: ConsoleDeps) {
    const token = randomBytes(24).toString('base64url');
    const fleet = new Fleet({ clock, clients });
    const page = new Page({
      state: fleet,
      selector: { lookup: (call) => lookup(client, call) },
      life: randomBytes(8).toString('hex'),
      anyHost: false,
      token,
    });
    this.#fleet = fleet;
    this.#http = new HttpServer({
      listen,
      metrics: new Registry(),
      notReady: fleet.notReady,
      routes: page.routes,
      actions: new Actions({ client, token, actor }).routes,
      clock,
      log,
    });
  }

  get address(): string {
    return this.#http.address;
  }

  /** @throws Error naming the address, if it cannot be listened on */
  async start(): Promise<void> {
    await this.#http.start();
    this.#fleet.start();
  }

  async stop(): Promise<void> {
    this.#fleet.stop();
    await this.#http.stop();
  }
}

/** @throws HoldfastError */
async function lookup(
  client: HoldfastClient,
  { callId, set, branch, anySet }: Call,
): Promise<Answer | undefined> {
  try {
    const { binding, freshness } = await client.lookup({ callId, viaBranch: branch, set: anySet ? '' : set });
    const relay = binding?.relay;
    return (
      binding && {
        binding: bindingOf(binding),
        // One that is not registered has no address.
        relay: relay?.controlUrl ? relayOf(relay, () => 0, 0) : undefined,
        origin: 'existing',
        freshness: freshnessOf(freshness),
      }
    );
  } catch (error) {
    if (!(error instanceof HoldfastRpcError)) {
      throw error;
    }
    if (error.code === status.NOT_FOUND) {
      return undefined;
    }
    const code = error.code === status.INVALID_ARGUMENT ? 'invalid-argument' : 'unavailable';
    throw new HoldfastError(code, error.message);
  }
}
