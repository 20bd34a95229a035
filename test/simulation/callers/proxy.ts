import { credentials, type ServiceError, status } from '@grpc/grpc-js';
import { RelayServiceClient } from '../../../proto/generated/holdfast/v1/relay.js';
import {
  type Binding,
  CallState,
  Freshness,
  LookupRequest,
  MoveRequest,
  Origin,
  SelectionServiceClient,
  SelectRequest,
  type SelectResponse,
} from '../../../proto/generated/holdfast/v1/selection.js';
import { NgClient } from '../../../services/control/ng/client.js';
import type { NgDictionary } from '../../../services/control/ng/message.js';
import { parseAddress } from '../../../services/runtime/address.js';
import { sleep } from '../../../services/runtime/clock.js';
import type { Answer } from '../../chaos/record/records.js';
import type { Operation } from '../check/history.js';
import type { SimProcess } from '../kernel/process.js';
import { ngPort, type Replica } from '../world/replica.js';
import type { World } from '../world/world.js';

type Asked = Pick<Operation, 'front' | 'method' | 'callId' | 'inDialog'> &
  Partial<Pick<Operation, 'requestId' | 'generation'>>;
export type Outcome = Pick<Operation, 'outcome'> &
  Partial<Pick<Operation, 'reason' | 'answer' | 'media'>> & {
    /** Of the relay of an answer. */
    readonly controlUrl?: string;
  };

const deadlineMs = 5000;
/** As Kamailio has it: five tries, 1 s apart; here the first few, for the others say nothing new. */
const ngTimeoutMs = 2500;
const ngRetransmitMs = 1000;
const unknownCodes = new Set([
  status.UNAVAILABLE,
  status.DEADLINE_EXCEEDED,
  status.CANCELLED,
  status.UNKNOWN,
]);
/** UNAVAILABLE of these reasons has done nothing, and is told apart by the words alone. */
const freshnesses = {
  [Freshness.FRESH]: 'fresh',
  [Freshness.STALE]: 'stale',
  [Freshness.PROVISIONAL]: 'provisional',
} as Readonly<Record<number, Answer['freshness']>>;
const origins = {
  [Origin.NEW]: 'new',
  [Origin.EXISTING]: 'existing',
  [Origin.MOVED]: 'moved',
} as Readonly<Record<number, NonNullable<Answer['origin']>>>;

interface Clients {
  readonly selection: SelectionServiceClient;
  readonly relays: RelayServiceClient;
  readonly ng: NgClient;
}

/** A SIP proxy: asks replicas over gRPC, gateways over ng, and relays. What it is told is recorded. */
export class SipProxy {
  readonly #clients = new Map<string, Clients>();
  readonly #relays = new Map<string, NgClient>();

  /** To be made in that process. */
  constructor(
    private readonly world: World,
    readonly process: SimProcess,
    private readonly record: (operation: Operation) => void,
  ) {
    for (const replica of world.replicas) {
      const options = { channelOverride: world.rpc.channel(process, replica.grpcAddress) };
      const address = replica.grpcAddress;
      this.#clients.set(replica.name, {
        selection: new SelectionServiceClient(address, credentials.createInsecure(), options),
        relays: new RelayServiceClient(address, credentials.createInsecure(), options),
        ng: new NgClient({
          host: replica.host.address,
          port: ngPort,
          timeoutMs: ngTimeoutMs,
          retransmitMs: ngRetransmitMs,
          clock: process.clock,
        }),
      });
    }
  }

  pause(ms: number): Promise<void> {
    return sleep(this.process.clock, ms);
  }

  select(replica: Replica, callId: string, requestId: string, inDialog: boolean): Promise<Outcome> {
    const request = SelectRequest.fromPartial({ callId, requestId, inDialog });
    return this.#recorded(replica, { front: 'grpc', method: 'select', callId, requestId, inDialog }, () =>
      this.#unary<SelectResponse>((done) =>
        this.#of(replica).selection.select(request, { deadline: Date.now() + deadlineMs } as never, done),
      ),
    );
  }

  lookup(replica: Replica, callId: string): Promise<Outcome> {
    const request = LookupRequest.fromPartial({ callId });
    return this.#recorded(replica, { front: 'grpc', method: 'lookup', callId, inDialog: true }, () =>
      this.#unary<Partial<SelectResponse>>((done) =>
        this.#of(replica).selection.lookup(
          request,
          { deadline: Date.now() + deadlineMs } as never,
          done as never,
        ),
      ),
    );
  }

  move(replica: Replica, callId: string, requestId: string, generation: number): Promise<Outcome> {
    const request = MoveRequest.fromPartial({
      callId,
      requestId,
      generation: BigInt(generation),
      reason: 'a caller wants it',
    });
    const asked = { front: 'grpc', method: 'move', callId, requestId, generation, inDialog: true } as const;
    return this.#recorded(replica, asked, () =>
      this.#unary<Partial<SelectResponse>>((done) =>
        this.#of(replica).selection.move(
          request,
          { deadline: Date.now() + deadlineMs } as never,
          done as never,
        ),
      ),
    );
  }

  release(replica: Replica, callId: string): Promise<Outcome> {
    const request = { callId, viaBranch: '', set: '', beginning: '' };
    return this.#recorded(replica, { front: 'grpc', method: 'release', callId, inDialog: true }, () =>
      this.#unary<object>((done) =>
        this.#of(replica).selection.release(
          request,
          { deadline: Date.now() + deadlineMs } as never,
          done as never,
        ),
      ),
    );
  }

  /** The relays that a replica lists; undefined if it does not answer. */
  listRelays(replica: Replica): Promise<{ readonly ids: string[]; readonly isFresh: boolean } | undefined> {
    return new Promise((resolve) => {
      this.#of(replica).relays.listRelays(
        { set: '' },
        { deadline: Date.now() + deadlineMs } as never,
        ((error: ServiceError | null, reply: { relays: { id: string }[]; fresh: boolean }) =>
          resolve(
            error ? undefined : { ids: reply.relays.map(({ id }) => id).sort(), isFresh: reply.fresh },
          )) as never,
      );
    });
  }

  /** @param asked what is done, for the record */
  ng(
    replica: Replica,
    body: NgDictionary,
    asked: Pick<Operation, 'method' | 'callId' | 'inDialog'>,
  ): Promise<Outcome> {
    return this.#recorded(replica, { front: 'ng', ...asked }, async () => {
      try {
        return outcomeOf(await this.#of(replica).ng.request(body));
      } catch (error) {
        return { outcome: 'unknown', reason: String(error) };
      }
    });
  }

  /** Asks a relay itself. */
  async relay(controlUrl: string, body: NgDictionary): Promise<Outcome> {
    const { clock } = this.process;
    let client = this.#relays.get(controlUrl);
    if (!client) {
      const address = parseAddress(controlUrl.slice('udp:'.length));
      if (!address) {
        throw new Error(`${controlUrl} is no control URL`);
      }
      client = new NgClient({ ...address, timeoutMs: 1000, retransmitMs: 300, clock });
      this.#relays.set(controlUrl, client);
    }
    try {
      return outcomeOf(await client.request(body));
    } catch (error) {
      return { outcome: 'unknown', reason: String(error) };
    }
  }

  #of({ name }: Replica): Clients {
    return this.#clients.get(name) as Clients;
  }

  async #recorded(replica: Replica, asked: Asked, ask: () => Promise<Outcome>): Promise<Outcome> {
    const { scheduler, relays } = this.world;
    const invokeMs = scheduler.nowMs;
    const { life } = replica;
    const outcome = await ask();
    const carriers = relays.flatMap((relay) =>
      relay.life && relay.callIds.includes(asked.callId) ? [relay.life.name] : [],
    );
    const { controlUrl: _, ...told } = outcome;
    this.record({
      ...asked,
      replica: replica.name,
      life,
      invokeMs,
      returnMs: scheduler.nowMs,
      carriers,
      ...told,
    });
    return outcome;
  }

  #unary<Reply>(
    send: (done: (error: ServiceError | null, reply: Reply) => void) => unknown,
  ): Promise<Outcome> {
    return new Promise((resolve) => {
      send((error, reply) => {
        if (error) {
          const outcome = unknownCodes.has(error.code) ? 'unknown' : 'refused';
          resolve({ outcome, reason: `${status[error.code]}: ${error.details}`.slice(0, 200) });
        } else {
          const { binding, origin, freshness } = reply as Partial<SelectResponse>;
          const controlUrl = binding?.relay?.controlUrl;
          resolve({
            outcome: 'ok',
            ...(binding ? { answer: answerOf(binding, origin, freshness) } : {}),
            ...(controlUrl ? { controlUrl } : {}),
          });
        }
      });
    });
  }
}

function answerOf(binding: Binding, origin: Origin | undefined, freshness: Freshness | undefined) {
  const named = origin === undefined ? undefined : origins[origin];
  return {
    relay: binding.relay?.id ?? '',
    instance: binding.relay?.instance ?? '',
    generation: Number(binding.generation),
    createdAtMs: binding.createTime?.getTime() ?? 0,
    expiresAtMs: binding.expireTime?.getTime() ?? 0,
    released: binding.released,
    state: CallState[binding.state],
    ...(named ? { origin: named } : {}),
    freshness: (freshness === undefined ? undefined : freshnesses[freshness]) ?? 'fresh',
  } as const;
}

function outcomeOf(reply: NgDictionary): Outcome {
  const media = reply['answered by'] === undefined ? undefined : String(reply['answered by']);
  if (String(reply['result']) === 'ok') {
    return { outcome: 'ok', media, reason: String(reply['warning'] ?? '') };
  }
  return { outcome: 'refused', media, reason: String(reply['error-reason'] ?? reply['result']) };
}
