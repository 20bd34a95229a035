import {
  type CallParties,
  type ControlRequest,
  type ProtocolName,
  protocolsOf,
} from '../control/protocol.js';
import { type Call, type CarriedCall, maxCallIdBytes, parseCall } from '../domain/call.js';
import type { RegisteredRelay } from '../domain/relay.js';
import type { CarriedCalls, RelayInquiry } from '../selection/carried/relay-inquiry.js';
import type { CallMemory } from './call-memory.js';
import type { RelayAccess } from './relay-clients.js';

/** A relay that is asked whether it carries a call has this long, ms: a proxy may be waiting. */
const timeoutMs = 250;
/**
 * Call-IDs asked for at once. The reply is one datagram, which holds about 2,300 ids of 25 bytes; rtpengine sends nothing when
 * it would not fit.
 */
const listLimits = { most: 2000, least: 100 };

export type CallMemories = Readonly<Partial<Record<ProtocolName, CallMemory>>>;

/** Asks relays over their control protocols what they carry. */
export class ControlInquiry implements RelayInquiry {
  readonly #clients: Pick<RelayAccess, 'ask' | 'isSilent'>;
  readonly #memories: CallMemories;

  constructor(clients: Pick<RelayAccess, 'ask' | 'isSilent'>, memories: CallMemories) {
    this.#clients = clients;
    this.#memories = memories;
  }

  async carries(relay: RegisteredRelay, call: Call): Promise<CarriedCall | false | undefined> {
    const memory = this.#memoryFor(relay);
    return memory && carriedBy(this.#clients, relay, memory, call, { timeoutMs });
  }

  async list(relay: RegisteredRelay): Promise<CarriedCalls | undefined> {
    const protocol = this.#memoryFor(relay)?.protocol;
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

  isSilent(relay: RegisteredRelay): boolean {
    return this.#clients.isSilent(relay);
  }

  #memoryFor({ relay }: RegisteredRelay): CallMemory | undefined {
    // ng lists calls, and knows them without their tags.
    const [protocol] = protocolsOf(relay).filter((each) => this.#memories[each]);
    return protocol && this.#memories[protocol];
  }

  async #reply(relay: RegisteredRelay, request: ControlRequest): Promise<Buffer | undefined> {
    const asked = await this.#clients.ask(relay, request, timeoutMs);
    return asked.kind === 'replied' ? asked.reply : undefined;
  }
}

/** Whether a relay carries a call: false if it knows it by none of its names, undefined if it does not say. */
export async function carriedBy(
  clients: Pick<RelayAccess, 'ask'>,
  relay: RegisteredRelay,
  memory: CallMemory,
  call: Call,
  { parties, timeoutMs }: { readonly parties?: CallParties; readonly timeoutMs: number },
): Promise<CarriedCall | false | undefined> {
  const queries = memory.queries(call, parties);
  const answers = await Promise.all(queries.map((query) => answerTo(clients, relay, query, timeoutMs)));
  const replies = answers.filter((answer) => Buffer.isBuffer(answer));
  if (replies.length > 0) {
    const calls = replies.map((reply) => memory.protocol.callIn(reply));
    const signaled = calls.flatMap(({ signaledAtMs }) => signaledAtMs ?? []);
    return {
      packets: calls.reduce((sum, { packets }) => sum + packets, 0),
      isAnswered: calls.some(({ isAnswered }) => isAnswered),
      signaledAtMs: signaled.length > 0 ? Math.max(...signaled) : undefined,
    };
  }
  return answers.length === 0 || answers.includes(undefined) ? undefined : false;
}

/** The reply of a relay that carries what is asked for; false if it does not know it, undefined if it does not say. */
async function answerTo(
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
