import {
  type ControlProtocol,
  type ControlRequest,
  type ProtocolName,
  protocolOf,
} from '../control/protocol.js';
import { bytesOf, type Call, maxCallIdBytes, parseCall } from '../domain/call.js';
import type { RegisteredRelay } from '../domain/relay.js';
import type { CarriedCall, CarriedCalls, RelayInquiry } from '../selection/carried/relay-inquiry.js';
import type { RelayAccess } from './relay-clients.js';

/** A relay that is asked whether it carries a call has this long, ms: a proxy may be waiting. */
const timeoutMs = 250;
/**
 * Call-IDs asked for at once. The reply is one datagram, which holds about 2,300 ids of 25 bytes; rtpengine sends nothing when
 * it would not fit.
 */
const listLimits = { most: 2000, least: 100 };

export type Protocols = Readonly<Partial<Record<ProtocolName, ControlProtocol>>>;

/** Asks relays over their control protocols what they carry. */
export class ControlInquiry implements RelayInquiry {
  readonly #clients: Pick<RelayAccess, 'ask'>;
  readonly #protocols: Protocols;

  constructor(clients: Pick<RelayAccess, 'ask'>, protocols: Protocols) {
    this.#clients = clients;
    this.#protocols = protocols;
  }

  async carries(relay: RegisteredRelay, call: Call): Promise<CarriedCall | false | undefined> {
    const protocol = this.#protocolOf(relay);
    if (!protocol) {
      return undefined;
    }
    const query = protocol.queryRequest({ callId: bytesOf(call) });
    const reply = await replyOfCarrier(this.#clients, relay, query, timeoutMs);
    return reply && { packets: protocol.packetsIn(reply) };
  }

  async list(relay: RegisteredRelay): Promise<CarriedCalls | undefined> {
    const protocol = this.#protocolOf(relay);
    for (let limit = listLimits.most; protocol && limit >= listLimits.least; limit = Math.floor(limit / 2)) {
      const request = protocol.listRequest(limit);
      const reply = request && (await this.#reply(relay, request));
      const callIds = reply && protocol.callIdsIn(reply);
      if (callIds) {
        const isComplete = callIds.length < limit;
        return { callIds: new Set(callIds.filter(isCallId).map(textOf)), isComplete };
      }
    }
    return undefined;
  }

  #protocolOf({ relay }: RegisteredRelay): ControlProtocol | undefined {
    return this.#protocols[protocolOf[relay.kind]];
  }

  async #reply(relay: RegisteredRelay, request: ControlRequest): Promise<Buffer | undefined> {
    const asked = await this.#clients.ask(relay, request, timeoutMs);
    return asked.kind === 'replied' ? asked.reply : undefined;
  }
}

/** What a relay answers to a query of a call that it carries; false if it does not know the call, undefined if it does not say. */
export async function replyOfCarrier(
  clients: Pick<RelayAccess, 'ask'>,
  relay: RegisteredRelay,
  query: ControlRequest,
  timeoutMs: number,
): Promise<Buffer | false | undefined> {
  const asked = await clients.ask(relay, query, timeoutMs);
  if (asked.kind !== 'replied') {
    return undefined;
  }
  const { kind } = query.judge(asked.reply);
  if (kind === 'unknown-call') {
    return false;
  }
  return kind === 'accepted' ? asked.reply : undefined;
}

/** What cannot be a call of the registry is junk. */
const isCallId = ({ length }: Buffer) => length > 0 && length <= maxCallIdBytes;
const textOf = (callId: Buffer): string => parseCall(callId).callId;
