import { status } from '@grpc/grpc-js';
import {
  type Binding,
  CallState,
  type SelectionServiceClient,
} from '../../proto/generated/holdfast/v1/selection.js';
import type { NgDictionary } from '../../services/control/ng/message.js';
import type { UdpClient } from '../../services/control/udp/client.js';
import type { RetryQueue } from '../../services/gateway/retry-queue.js';
import type { ProxyClient } from '../support/ng.js';
import { lookup, move, release, select } from '../support/replica.js';
import type { ModelRelays } from './model-relays.js';
import type { NgRelayModel } from './ng-relay-model.js';
import type { MediaRequest } from './sip-trace.js';

export type FrontName = 'ng' | 'rtpproxy' | 'grpc';

/** A SIP proxy that has its relays from Holdfast. */
export interface Front {
  /** @param at which replica is asked. @returns whether the relay has done it */
  ask(callId: string, request: MediaRequest, at: number): Promise<boolean>;
}

function bodyOf(callId: string, { command, from, to, branch }: MediaRequest): NgDictionary {
  return {
    command,
    'call-id': callId,
    'from-tag': from,
    ...(to === undefined ? {} : { 'to-tag': to }),
    ...(branch === undefined ? {} : { 'via-branch': branch }),
    supports: ['load limit'],
  };
}

/** Speaks ng to the gateways, as an unmodified proxy does. */
export class NgProxy implements Front {
  constructor(private readonly gateways: readonly ProxyClient[]) {}

  async ask(callId: string, request: MediaRequest, at: number): Promise<boolean> {
    const reply = await this.gateways[at]?.request(bodyOf(callId, request));
    return reply?.['result'] === 'ok';
  }
}

/** The address of every party. */
const media = '192.0.2.1 4000';

/**
 * Speaks rtpproxy's protocol to the gateways. A relay knows a call by the tag of who began it: as Kamailio's module with the
 * flag `t`, this names nobody else where nobody has answered, and the call ends.
 */
export class RtpproxyProxy implements Front {
  constructor(private readonly gateways: readonly UdpClient[]) {}

  async ask(callId: string, request: MediaRequest, at: number): Promise<boolean> {
    const reply = await this.gateways[at]?.request(Buffer.from(this.#text(callId, request)));
    const text = reply?.toString('latin1').trim() ?? '';
    // What a relay does not know has ended.
    return request.command === 'delete' ? text === '0' || text === 'E50' : /^[1-9]\d*$/.test(text);
  }

  #text(callId: string, { command, from, to, inDialog, isLast }: MediaRequest): string {
    switch (command) {
      case 'offer':
        return `U ${callId} ${media} ${from};1${to === undefined ? '' : ` ${to};1`}`;
      case 'answer':
        return `L ${callId} ${media} ${from};1 ${to};1`;
      default:
        return `D ${callId} ${from}${to === undefined || (isLast && !inDialog) ? '' : ` ${to}`}`;
    }
  }
}

export interface GrpcProxyDeps {
  readonly replicas: readonly SelectionServiceClient[];
  readonly relays: ModelRelays<NgRelayModel>;
  readonly retries: RetryQueue;
}

/** How long relays are waited for: an offer of a new call, what is in the dialog, and a delete, ms. */
const timeoutsMs = { setup: 250, inDialog: 850, delete: 400 };
/** rtpengine knows a deleted call for so long. */
const deleteDelayMs = 32_000;
let requests = 0;

/** Asks Holdfast over gRPC, and the relays itself. */
export class GrpcProxy implements Front {
  readonly #deps: GrpcProxyDeps;

  constructor(deps: GrpcProxyDeps) {
    this.#deps = deps;
  }

  async ask(callId: string, request: MediaRequest, at: number): Promise<boolean> {
    const body = bodyOf(callId, request);
    const replica = this.#deps.replicas[at] as SelectionServiceClient;
    try {
      switch (request.command) {
        case 'offer':
          return await this.#offer(callId, body, request.inDialog, replica);
        case 'answer':
          return await this.#answer(callId, body, replica);
        default:
          return await this.#delete(callId, body, replica);
      }
    } catch (error) {
      if (codeOf(error) === status.RESOURCE_EXHAUSTED || codeOf(error) === status.UNAVAILABLE) {
        return false;
      }
      throw error;
    }
  }

  /** A call that is being set up goes to the next relay when one is full, dead or silent. */
  async #offer(
    callId: string,
    body: NgDictionary,
    inDialog: boolean,
    replica: SelectionServiceClient,
  ): Promise<boolean> {
    const requestId = `offer-${++requests}`;
    const failed: string[] = [];
    for (;;) {
      const { binding } = await select(replica, { callId, requestId, inDialog, excludedRelayIds: failed });
      const relayId = relayOf(binding);
      if (!binding || relayId === undefined) {
        return false;
      }
      const isSetup = binding.state === CallState.SETUP;
      const timeoutMs = isSetup ? timeoutsMs.setup : timeoutsMs.inDialog;
      const reply = await this.#relay(relayId, body, timeoutMs);
      if (!isSetup || (typeof reply !== 'string' && !isFull(reply))) {
        return typeof reply !== 'string' && reply['result'] === 'ok';
      }
      failed.push(relayId);
      const { generation } = binding;
      try {
        await move(replica, { callId, generation, requestId, excludedRelayIds: failed });
      } catch (error) {
        if (codeOf(error) === status.FAILED_PRECONDITION || codeOf(error) === status.NOT_FOUND) {
          continue;
        }
        return false;
      }
      if (reply === 'silent') {
        this.#cleanUp(callId, body, relayId, replica);
      }
    }
  }

  async #answer(callId: string, body: NgDictionary, replica: SelectionServiceClient): Promise<boolean> {
    const relayId = relayOf(await find(replica, callId));
    const reply = relayId && (await this.#relay(relayId, body, timeoutsMs.inDialog));
    if (typeof reply !== 'object' || reply['result'] !== 'ok') {
      return false;
    }
    await select(replica, { callId, inDialog: true });
    return true;
  }

  /** The call is released when its relay does not know it any more. */
  async #delete(callId: string, body: NgDictionary, replica: SelectionServiceClient): Promise<boolean> {
    // What is done about the call from here on is meant for the beginning of now.
    const binding = await find(replica, callId, true);
    const relayId = relayOf(binding);
    if (!binding || relayId === undefined) {
      await release(replica, callId);
      return true;
    }
    const reply = await this.#relay(relayId, body, timeoutsMs.delete);
    if (typeof reply === 'string') {
      await release(replica, callId);
      this.#deleteLater(callId, body, binding, replica);
      return true;
    }
    if (reply['result'] === 'ok') {
      this.#releaseOnceEnded(callId, binding, relayId, replica, 0);
      this.#releaseOnceEnded(callId, binding, relayId, replica, deleteDelayMs);
    }
    return true;
  }

  #releaseOnceEnded(
    callId: string,
    meant: Binding,
    relayId: string,
    replica: SelectionServiceClient,
    delayMs: number,
  ): void {
    const { retries } = this.#deps;
    retries.schedule({
      purpose: `release ${callId} once it has ended`,
      delayMs,
      attempt: async () => {
        const hasEnded = (await this.#isCarried(callId, relayId)) === false;
        const now = hasEnded ? await find(replica, callId) : undefined;
        if (now?.generation === meant.generation) {
          await release(replica, callId, meant.beginning);
        }
        return 'done';
      },
    });
  }

  #deleteLater(callId: string, body: NgDictionary, meant: Binding, replica: SelectionServiceClient): void {
    const { retries } = this.#deps;
    retries.schedule({
      purpose: `delete ${callId}`,
      attempt: async () => {
        const now = await find(replica, callId);
        const relayId = relayOf(now);
        if (relayId === undefined) {
          return 'done';
        }
        if (now?.beginning !== meant.beginning || now.generation !== meant.generation || !now.released) {
          return 'canceled';
        }
        const reply = await this.#relay(relayId, body, timeoutsMs.delete);
        if (typeof reply === 'string') {
          return 'again';
        }
        if (await this.#isCarried(callId, relayId)) {
          const { binding } = await select(replica, { callId });
          if (meant.state === CallState.ANSWERED) {
            await select(replica, { callId, inDialog: true });
          }
          this.#releaseOnceEnded(callId, binding ?? meant, relayId, replica, deleteDelayMs);
        }
        return 'done';
      },
    });
  }

  #relay(id: string, body: NgDictionary, timeoutMs: number): Promise<NgDictionary | 'refused' | 'silent'> {
    return this.#deps.relays.request(id, (model) => model.handle(body), timeoutMs);
  }

  async #isCarried(callId: string, relayId: string): Promise<boolean | undefined> {
    const query = { command: 'query', 'call-id': callId };
    const reply = await this.#relay(relayId, query, timeoutsMs.delete);
    return typeof reply === 'string' ? undefined : reply['result'] === 'ok';
  }

  /** A relay that was silent may have begun the call all the same. */
  #cleanUp(callId: string, offer: NgDictionary, relayId: string, replica: SelectionServiceClient): void {
    const { retries } = this.#deps;
    retries.schedule({
      purpose: `delete ${callId} on ${relayId}, which it has left`,
      attempt: async () => {
        if (relayOf(await find(replica, callId)) === relayId) {
          return 'canceled';
        }
        const deletion = { command: 'delete', 'call-id': callId, 'from-tag': offer['from-tag'] ?? '' };
        const reply = await this.#relay(relayId, deletion, timeoutsMs.delete);
        return reply === 'silent' ? 'again' : 'done';
      },
    });
  }
}

/** Undefined if it is gone. */
const relayOf = (binding: Binding | undefined): string | undefined =>
  binding?.relay?.controlUrl ? binding.relay.id : undefined;

const isFull = (reply: NgDictionary): boolean =>
  reply['result'] === 'load limit' || reply['error-reason'] === 'Ran out of ports';

const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code;

async function find(
  replica: SelectionServiceClient,
  callId: string,
  current = false,
): Promise<Binding | undefined> {
  try {
    return (await lookup(replica, callId, current)).binding;
  } catch (error) {
    if (codeOf(error) === status.NOT_FOUND) {
      return undefined;
    }
    throw error;
  }
}
