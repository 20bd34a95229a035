import { type ControlRequest, type ProtocolName, protocolOf } from '../control/protocol.js';
import { UdpClient, UdpClientError } from '../control/udp/client.js';
import { defaultSet } from '../domain/name.js';
import type { RegisteredRelay } from '../domain/relay.js';
import { parseAddress } from '../runtime/address.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import type { RelayList, SetName } from './deps.js';

export type Asked =
  /** The relay's reply, byte for byte. */
  | { readonly kind: 'replied'; readonly reply: Buffer }
  /** It is not registered, nothing listens there any more, or it cannot be reached: known at once. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** Nothing came back in time: the request may have been carried out all the same. */
  | { readonly kind: 'silent'; readonly reason: string };

/** What is needed of the relays to serve a request. */
export type RelayAccess = Pick<RelayClients, 'ask' | 'isSilent' | 'unspoken' | 'whyUnspoken'>;

/** Copies of one request to a relay go out this often, ms; rtpengine answers a copy from its memory. */
const retransmitMs = 100;
/** A relay that was left no less than this to answer, ms, and has not, counts as silent until it answers something. */
const silenceMs = 200;

export interface RelayClientsDeps {
  /** What the gateways speak; none if there is no gateway. */
  readonly protocols: readonly ProtocolName[];
  readonly directory: RelayList;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * One client per relay that is registered. Relays tell duplicates by the cookie alone, so two proxies that happen to use
 * one cookie would get each other's answers; here every transaction with a relay has a cookie of its own.
 */
export class RelayClients {
  readonly #deps: RelayClientsDeps;
  /** By control URL. */
  readonly #clients = new Map<string, UdpClient>();
  /** Control URLs of relays that have not answered what they were asked last. */
  readonly #silent = new Set<string>();
  /** What `unspoken` answers, until relays join or leave. */
  readonly #unspoken = new Map<string, readonly string[]>();
  #unsubscribe: () => void = () => {};

  constructor(deps: RelayClientsDeps) {
    this.#deps = deps;
  }

  start(): void {
    const { directory, protocols, log } = this.#deps;
    this.#unsubscribe = directory.subscribe(({ type, relay: { relay } }) => {
      this.#unspoken.clear();
      if (type === 'left' && !directory.list().some((other) => other.relay.controlUrl === relay.controlUrl)) {
        void this.#drop(relay.controlUrl);
      }
      const isServed = protocols.length === 0 || protocols.includes(protocolOf[relay.kind]);
      if (type === 'joined' && !isServed) {
        log.warn({ set: relay.set, relay: relay.id, reason: unspokenReason(relay) }, 'relay left out');
      }
    });
  }

  /** Whoever waits for a relay is told at once. */
  async stop(): Promise<void> {
    this.#unsubscribe();
    await Promise.all([...this.#clients.keys()].map((url) => this.#drop(url)));
  }

  /** Open clients. */
  get size(): number {
    return this.#clients.size;
  }

  /** Ids of the relays of a set that do not speak this protocol: no call that comes in it is for them. */
  unspoken(setName: SetName, protocol: ProtocolName): readonly string[] {
    const set = setName ?? defaultSet;
    const key = `${protocol} ${set}`;
    let ids = this.#unspoken.get(key);
    if (!ids) {
      ids = this.#deps.directory
        .list(set)
        .filter(({ relay }) => protocolOf[relay.kind] !== protocol)
        .map(({ relay }) => relay.id);
      this.#unspoken.set(key, ids);
    }
    return ids;
  }

  /** Why relays of a set get no call that comes in this protocol; undefined if none is left out. */
  whyUnspoken(setName: SetName, protocol: ProtocolName): string | undefined {
    const set = setName ?? defaultSet;
    const [id, ...others] = this.unspoken(set, protocol);
    const relay = id === undefined ? undefined : this.#deps.directory.get(set, id)?.relay;
    const more = others.length > 0 ? ` (and ${others.length} more)` : '';
    return relay && `${unspokenReason(relay)}${more}`;
  }

  /** Puts a request to a relay, and says what came of it instead of throwing. */
  async ask(registered: RegisteredRelay, request: ControlRequest, timeoutMs: number): Promise<Asked> {
    const client = this.#clientOf(registered, request);
    if (typeof client === 'string') {
      return { kind: 'refused', reason: client };
    }
    const { controlUrl } = registered.relay;
    try {
      const options = { timeoutMs: Math.max(1, Math.round(timeoutMs)), retransmitMs };
      const reply = await client.request(request.body, options);
      this.#silent.delete(controlUrl);
      return { kind: 'replied', reply };
    } catch (error) {
      if (!(error instanceof UdpClientError)) {
        throw error;
      }
      if (error.code !== 'timeout') {
        return { kind: 'refused', reason: error.message };
      }
      if (timeoutMs >= silenceMs && this.#clients.has(controlUrl)) {
        this.#silent.add(controlUrl);
      }
      return { kind: 'silent', reason: error.message };
    }
  }

  /** It has not answered what it was asked last: most likely it will not answer the next question either. */
  isSilent({ relay }: RegisteredRelay): boolean {
    return this.#silent.has(relay.controlUrl);
  }

  /** Or why there is none. */
  #clientOf({ relay }: RegisteredRelay, { protocol }: ControlRequest): UdpClient | string {
    const { directory, clock, log } = this.#deps;
    // A client that nobody asked for when its relay left would never be closed.
    if (directory.get(relay.set, relay.id)?.relay.instance !== relay.instance) {
      return `relay ${relay.id} is not registered any more`;
    }
    if (protocolOf[relay.kind] !== protocol) {
      return unspokenReason(relay);
    }
    const known = this.#clients.get(relay.controlUrl);
    if (known) {
      return known;
    }
    const address = relay.controlUrl.startsWith('udp:') ? parseAddress(relay.controlUrl.slice(4)) : undefined;
    if (!address) {
      return `relay ${relay.id} has the control URL ${relay.controlUrl}, which is not udp:HOST:PORT`;
    }
    const client = new UdpClient({ ...address, clock, log });
    this.#clients.set(relay.controlUrl, client);
    return client;
  }

  async #drop(controlUrl: string): Promise<void> {
    const client = this.#clients.get(controlUrl);
    this.#clients.delete(controlUrl);
    this.#silent.delete(controlUrl);
    await client?.stop();
  }
}

function unspokenReason({ id, kind }: RegisteredRelay['relay']): string {
  return `relay ${id} is of kind ${kind}, which is controlled by ${protocolOf[kind]}: no call that comes by another protocol is for it`;
}
