import { ownRequest, type RtpproxyRequest } from '../../control/rtpproxy/request.js';
import {
  formatInfo,
  type Info,
  mergeCounters,
  mergeInfo,
  parseCounters,
  parseInfo,
} from '../../control/rtpproxy/statistics.js';
import type { RegisteredRelay } from '../../domain/relay.js';
import type { Clock } from '../../runtime/clock.js';
import type { RelayAccess } from '../relay-clients.js';

const timeoutMs = 500;
/** Some proxies ask for the counts of sessions every second, and wait for the answer. */
const freshMs = 1000;

/** `I` and `G`: all relays are asked, and one answer is made of theirs. Relays that do not answer are left out. */
export class Aggregate {
  readonly #clients: Pick<RelayAccess, 'ask'>;
  readonly #clock: Clock;
  /** By set. */
  readonly #infos = new Map<string, { readonly atMs: number; readonly info: Promise<Info> }>();

  constructor(clients: Pick<RelayAccess, 'ask'>, clock: Clock) {
    this.#clients = clients;
    this.#clock = clock;
  }

  /** @param set of these relays */
  async answer(request: RtpproxyRequest, set: string, relays: readonly RegisteredRelay[]): Promise<Buffer> {
    return request.name === 'I'
      ? formatInfo(await this.#info(set, relays), /l/i.test(request.modifiers))
      : this.#counters(request, relays);
  }

  #info(set: string, relays: readonly RegisteredRelay[]): Promise<Info> {
    const atMs = this.#clock.monotonicMs();
    const known = this.#infos.get(set);
    if (known && atMs - known.atMs < freshMs) {
      return known.info;
    }
    const info = this.#ask(ownRequest('Il'), relays).then((replies) =>
      mergeInfo(replies.flatMap((reply) => parseInfo(reply) ?? [])),
    );
    this.#infos.set(set, { atMs, info });
    return info;
  }

  async #counters(request: RtpproxyRequest, relays: readonly RegisteredRelay[]): Promise<Buffer> {
    const replies = await this.#ask(request, relays);
    const values = replies.flatMap((reply) => {
      const parsed = parseCounters(reply);
      return parsed ? [parsed] : [];
    });
    // A counter that one of them does not know is unknown.
    const refusal = replies.find((reply) => !parseCounters(reply));
    if (refusal || values.length === 0) {
      return refusal ?? request.error();
    }
    return mergeCounters(values, request.modifiers === '' ? undefined : request.words);
  }

  async #ask(request: RtpproxyRequest, relays: readonly RegisteredRelay[]): Promise<Buffer[]> {
    const asked = await Promise.all(relays.map((relay) => this.#clients.ask(relay, request, timeoutMs)));
    return asked.flatMap((each) => (each.kind === 'replied' ? [each.reply] : []));
  }
}
