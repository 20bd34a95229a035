import { type ControlClient, ControlClientError } from '../control/client.js';
import { openClient, parseControlUrl } from '../control/control-address.js';
import { type ControlRequest, controlUrlOf, type ProtocolName, protocolsOf } from '../control/protocol.js';
import { defaultSet } from '../domain/name.js';
import type { RegisteredRelay, Relay } from '../domain/relay.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import type { RelayList, SetName } from './deps.js';
import { requestFields } from './observe.js';

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
  readonly #clients = new Map<string, ControlClient>();
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
      if (type === 'left') {
        this.#dropUnused(relay);
      }
      const isServed = protocols.length === 0 || protocolsOf(relay).some((each) => protocols.includes(each));
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
        .filter(({ relay }) => controlUrlOf(relay, protocol) === undefined)
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
    const { clock, log } = this.#deps;
    const askedAtMs = clock.monotonicMs();
    const asked = await this.#ask(registered, request, timeoutMs);
    if (log.isLevelEnabled('debug') && request.callId) {
      const { set, id: relay, controlUrl } = registered.relay;
      const came = asked.kind === 'replied' ? request.judge(asked.reply).kind : asked.kind;
      const reason = asked.kind === 'replied' ? undefined : asked.reason;
      const ms = Math.round(clock.monotonicMs() - askedAtMs);
      log.debug(
        { ...requestFields(request), set, relay, controlUrl, result: came, reason, ms },
        'relay asked',
      );
    }
    return asked;
  }

  async #ask(registered: RegisteredRelay, request: ControlRequest, timeoutMs: number): Promise<Asked> {
    const known = this.#clientOf(registered, request);
    if (typeof known === 'string') {
      return { kind: 'refused', reason: known };
    }
    const { controlUrl, client } = known;
    try {
      const options = { timeoutMs: Math.max(1, Math.round(timeoutMs)), retransmitMs };
      const reply = await client.request(request.body, options);
      this.#silent.delete(controlUrl);
      return { kind: 'replied', reply };
    } catch (error) {
      if (!(error instanceof ControlClientError)) {
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
    return urlsOf(relay).some((url) => this.#silent.has(url));
  }

  /** Or why there is none. */
  #clientOf({ relay }: RegisteredRelay, { protocol }: ControlRequest): Client | string {
    const { directory, clock, log } = this.#deps;
    // A client that nobody asked for when its relay left would never be closed.
    if (directory.get(relay.set, relay.id)?.relay.instance !== relay.instance) {
      return `relay ${relay.id} is not registered any more`;
    }
    const controlUrl = controlUrlOf(relay, protocol);
    if (controlUrl === undefined) {
      return unspokenReason(relay);
    }
    const known = this.#clients.get(controlUrl);
    if (known) {
      return { controlUrl, client: known };
    }
    const address = parseControlUrl(controlUrl);
    if (!address) {
      return `relay ${relay.id} has the control URL ${controlUrl}, which is not udp:HOST:PORT, tcp:HOST:PORT or unix:PATH`;
    }
    const client = openClient(address, { clock, log });
    this.#clients.set(controlUrl, client);
    return { controlUrl, client };
  }

  /** Clients of a relay that has left, unless it is registered under another name, too. */
  #dropUnused(relay: Relay): void {
    const used = new Set(this.#deps.directory.list().flatMap((other) => urlsOf(other.relay)));
    for (const url of urlsOf(relay).filter((each) => !used.has(each))) {
      void this.#drop(url);
    }
  }

  async #drop(controlUrl: string): Promise<void> {
    const client = this.#clients.get(controlUrl);
    this.#clients.delete(controlUrl);
    this.#silent.delete(controlUrl);
    await client?.stop();
  }
}

interface Client {
  readonly controlUrl: string;
  readonly client: ControlClient;
}

function urlsOf(relay: Relay): string[] {
  return protocolsOf(relay).flatMap((protocol) => controlUrlOf(relay, protocol) ?? []);
}

function unspokenReason(relay: Relay): string {
  return `relay ${relay.id} is of kind ${relay.kind}, which is controlled by ${protocolsOf(relay).join(' and ')}: no call that comes by another protocol is for it`;
}
