import { randomBytes } from 'node:crypto';
import type { ControlClient } from '../../services/control/client.js';
import { type ControlAddress, formatControlUrl, openClient } from '../../services/control/control-address.js';
import {
  baseVersion,
  capabilities,
  capabilityFeature,
} from '../../services/control/rtpproxy/capabilities.js';
import { type Info, parseCounters, parseInfo } from '../../services/control/rtpproxy/statistics.js';
import { newInstanceId } from '../../services/registry/instance-id.js';
import type { Address } from '../../services/runtime/address.js';
import type { Clock } from '../../services/runtime/clock.js';
import type { Logger } from '../../services/runtime/log.js';
import type { RelayDriver, RelayStatus } from './relay.js';

/** A relay that is busy may be late; one that is late three times in a row is not well. */
const timeoutMs = 450;
/** A mark that was renewed so recently cannot have expired: rtpproxy keeps a session for at least some seconds. */
const markLivesMs = 3000;
const markTag = 'holdfast';

export interface RtpproxyDeps {
  readonly control: ControlAddress;
  /** What gateways are told, of a UDP or TCP port; the control address where they share it. */
  readonly advertise: Address | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What only grows while the process lives. */
interface Counts {
  readonly sessions: number;
  /** Undefined where it does not tell. */
  readonly commands: number | undefined;
}

/**
 * Asks an rtpproxy over its control port. Its protocol tells neither a start nor an id. That it has begun another life shows in
 * counters that fall; and in which life it is shows in a session of our own, the mark, which has the instance in its name and
 * is gone with the process. The mark outlives the relay node for as long as rtpproxy keeps an idle session.
 */
export class RtpproxyDriver implements RelayDriver {
  readonly kind = 'rtpproxy';
  readonly #deps: RtpproxyDeps;
  readonly #client: ControlClient;
  #startedAtMs: number | undefined;
  #instance: string | undefined;
  #counts: Counts | undefined;
  #mark: { readonly reply: string; readonly renewedAtMs: number } | undefined;
  #packets: { readonly count: number; readonly atMs: number } | undefined;

  constructor(deps: RtpproxyDeps) {
    this.#deps = deps;
    this.#client = openClient(deps.control, { timeoutMs, clock: deps.clock, log: deps.log });
  }

  get controlUrl(): string {
    const { control, advertise } = this.#deps;
    return formatControlUrl(advertise ? { ...control, address: advertise } : control);
  }

  async start(): Promise<void> {
    // A name that does not resolve yet is a relay that is not there yet: the pings will tell.
    await this.#client.start().catch(() => undefined);
  }

  stop(): Promise<void> {
    return this.#client.stop();
  }

  /** It is a process of its own. */
  readonly leave = () => this.stop();

  async ping(): Promise<void> {
    const version = await this.#ask('V');
    if (version !== baseVersion) {
      throw new Error(`answered "${version.slice(0, 80)}" to V`);
    }
  }

  async status(): Promise<RelayStatus> {
    const info = parseInfo(await this.#client.request(Buffer.from('I')));
    if (!info) {
      throw new Error('told no sessions in its answer to I');
    }
    const counts = { sessions: info.sessionsCreated, commands: await this.#commands() };
    const hasFallen = this.#counts !== undefined && isLess(counts, this.#counts);
    this.#counts = counts;
    if (hasFallen || (await this.#renewMark())) {
      this.#beginLife();
      await this.#renewMark();
    }
    const startedAtMs = this.#startedAtMs ?? this.#deps.clock.monotonicMs();
    this.#startedAtMs = startedAtMs;
    return {
      startedAtMs,
      instance: this.#instance,
      version: '',
      calls: Math.max(0, info.activeSessions - (this.#mark ? 1 : 0)),
      packetRate: this.#packetRate(info),
    };
  }

  async recall(known: string | undefined): Promise<string> {
    const isKnown = known !== undefined && /^\d/.test(await this.#ask(`Q ${markOf(known)} ${markTag}`));
    this.#instance = isKnown ? known : newInstanceId();
    await this.#renewMark();
    return this.#instance;
  }

  /**
   * Additions of the protocol are asked for. What depends on its addresses shows in what becomes of sessions that need them;
   * one that is full does not tell, and calls that need it are tried all the same.
   */
  async features(): Promise<string[]> {
    const asked = capabilities.map(async (day) => ({ day, has: (await this.#ask(`VF ${day}`)) === '1' }));
    const has = (await Promise.all(asked)).filter((each) => each.has);
    const features = new Set(has.map(({ day }) => capabilityFeature(day)));
    const plain = await this.#trySession('U', '0.0.0.0');
    const ipv6 = await this.#trySession('U6', '::');
    const bridged = await this.#trySession('Uie', '0.0.0.0');
    for (const [feature, isThere] of [
      ['ipv4', plain === 4],
      ['ipv6', ipv6 === 6 || plain === 6 || bridged === 6],
      ['bridge', bridged !== undefined],
      ['record', await this.#knows(`R ${unknownCall}`)],
      ['play', await this.#knows(`P ${unknownCall.replace(' ', ' none 0 ')}`)],
    ] as const) {
      if (isThere) {
        features.add(feature);
      }
    }
    return [...features].sort();
  }

  /** Its protocol has no list. */
  async callIds(): Promise<string[]> {
    return [];
  }

  /** Its sessions are lost. */
  #beginLife(): void {
    this.#startedAtMs = undefined;
    this.#mark = undefined;
    this.#packets = undefined;
    // Before it was named, there was no life to lose.
    this.#instance &&= newInstanceId();
  }

  /** @returns whether the mark was lost, and with it all sessions */
  async #renewMark(): Promise<boolean> {
    if (this.#instance === undefined) {
      return false;
    }
    const last = this.#mark;
    const reply = await this.#ask(`U ${markOf(this.#instance)} 0.0.0.0 9 ${markTag}`);
    if (!isMedia(reply)) {
      // It is full: then what it was told before still counts.
      return false;
    }
    const renewedAtMs = this.#deps.clock.monotonicMs();
    this.#mark = { reply, renewedAtMs };
    return last !== undefined && last.reply !== reply && renewedAtMs - last.renewedAtMs < markLivesMs;
  }

  async #commands(): Promise<number | undefined> {
    const [count] = parseCounters(await this.#client.request(Buffer.from('G ncmds_rcvd'))) ?? [];
    return count === undefined ? undefined : Number(count);
  }

  /** RTP packets per second since the last status. */
  #packetRate({ packetsReceived: count }: Info): number {
    const last = this.#packets;
    const atMs = this.#deps.clock.monotonicMs();
    this.#packets = { count, atMs };
    return last && atMs > last.atMs && count >= last.count
      ? Math.round(((count - last.count) * 1000) / (atMs - last.atMs))
      : 0;
  }

  /** Begins a session, and ends it. @returns the family of its address; undefined if there is none */
  async #trySession(command: string, address: string): Promise<4 | 6 | undefined> {
    const call = `${markTag}-${randomBytes(8).toString('hex')}`;
    const reply = await this.#ask(`${command} ${call} ${address} 9 ${markTag}`);
    if (!isMedia(reply)) {
      return undefined;
    }
    await this.#ask(`D ${call} ${markTag}`);
    return reply.endsWith(' 6') ? 6 : 4;
  }

  /** A command that is known looks for its session, which does not exist. */
  async #knows(command: string): Promise<boolean> {
    return (await this.#ask(command)) === 'E50';
  }

  async #ask(command: string): Promise<string> {
    return (await this.#client.request(Buffer.from(command))).toString('latin1').trim();
  }
}

const unknownCall = 'holdfast-features none';
const markOf = (instance: string) => `holdfast-${instance}`;

function isMedia(reply: string): boolean {
  return /^[1-9]\d{0,4}(?: |$)/.test(reply);
}

function isLess(now: Counts, before: Counts): boolean {
  return now.sessions < before.sessions || (now.commands ?? 0) < (before.commands ?? 0);
}
