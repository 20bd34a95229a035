import { isIP } from 'node:net';
import { NgClient } from '../../services/control/ng/client.js';
import type { NgDictionary, NgValue } from '../../services/control/ng/message.js';
import { type Address, formatAddress } from '../../services/runtime/address.js';
import type { Clock } from '../../services/runtime/clock.js';
import type { Logger } from '../../services/runtime/log.js';
import type { RelayDriver, RelayStatus } from './relay.js';

/** A relay that is busy may be late; one that is late three times in a row is not well. */
const timeoutMs = 450;
/** Call-IDs asked for at once: a reply is one datagram, and rtpengine sends nothing when it would not fit. */
const mostListed = 1000;
const leastListed = 50;
/** Features that a command belongs to. */
const askedFor: readonly (readonly [command: string, features: readonly string[]])[] = [
  ['play media', ['play', 'transcode']],
  ['start recording', ['record']],
  ['subscribe request', ['subscribe']],
];

export interface RtpengineDeps {
  readonly control: Address;
  /** What SIP proxies are told; the control address where they share it. */
  readonly advertise: Address | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Asks an rtpengine over its ng port. */
export class RtpengineDriver implements RelayDriver {
  readonly kind = 'rtpengine';
  readonly #deps: RtpengineDeps;
  readonly #client: NgClient;
  #listLimit = mostListed;

  constructor(deps: RtpengineDeps) {
    this.#deps = deps;
    this.#client = new NgClient({ ...deps.control, timeoutMs, clock: deps.clock, log: deps.log });
  }

  get controlUrl(): string {
    return `udp:${formatAddress(this.#deps.advertise ?? this.#deps.control)}`;
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
    const { result } = await this.#ask({ command: 'ping' });
    if (result !== 'pong') {
      throw new Error(`answered ${text(result)} to ping`);
    }
  }

  async status(): Promise<RelayStatus> {
    const askedAtMs = this.#deps.clock.monotonicMs();
    const { statistics } = await this.#ask({ command: 'statistics' });
    const uptimeSeconds = signed(text(dig(statistics, 'totalstatistics', 'uptime')));
    const calls = Number(dig(statistics, 'currentstatistics', 'sessionstotal'));
    const packetRate = Number(dig(statistics, 'currentstatistics', 'packetrate'));
    if (![uptimeSeconds, calls].every(Number.isFinite)) {
      throw new Error('statistics without uptime or sessionstotal');
    }
    return {
      startedAtMs: askedAtMs - uptimeSeconds * 1000,
      version: '',
      calls,
      packetRate: Number.isFinite(packetRate) ? packetRate : 0,
    };
  }

  /**
   * SRTP, ICE and the lesser options of the ng protocol are in every rtpengine. What depends on how it was built and configured
   * is asked for: media players and transcoders are built together, interfaces are in the statistics.
   */
  async features(): Promise<string[]> {
    const { statistics } = await this.#ask({ command: 'statistics' });
    const features = new Set(['ice', 'ng', 'srtp']);
    const interfaces = dig(statistics, 'interfaces');
    const listed = Array.isArray(interfaces) ? interfaces : [];
    for (const each of listed) {
      const family = isIP(text(dig(each, 'address')));
      if (family !== 0) {
        features.add(`ipv${family}`);
      }
    }
    if (new Set(listed.map((each) => text(dig(each, 'name')))).size > 1) {
      features.add('bridge');
    }
    for (const [command, names] of askedFor) {
      if (await this.#knows(command)) {
        for (const name of names) {
          features.add(name);
        }
      }
    }
    return [...features].sort();
  }

  async callIds(): Promise<string[]> {
    try {
      const { calls } = await this.#ask({ command: 'list', limit: this.#listLimit });
      if (!Array.isArray(calls)) {
        throw new Error('list without calls');
      }
      // A request that was merely lost must not shorten all later lists.
      if (calls.length >= this.#listLimit) {
        this.#listLimit = Math.min(mostListed, Math.ceil(this.#listLimit * 1.25));
      }
      return calls.map(text);
    } catch (error) {
      // Long Call-IDs fill a datagram sooner.
      this.#listLimit = Math.max(leastListed, Math.floor(this.#listLimit / 2));
      throw error;
    }
  }

  /** A command that is known looks for its call, which does not exist. */
  async #knows(command: string): Promise<boolean> {
    const reply = await this.#client.request({ command, 'call-id': 'holdfast-features', 'from-tag': 'none' });
    return /^unknown call-id$/i.test(text(reply['error-reason'] ?? ''));
  }

  async #ask(request: NgDictionary): Promise<NgDictionary> {
    const reply = await this.#client.request(request);
    if (text(reply.result) === 'error') {
      throw new Error(text(reply['error-reason'] ?? 'error without a reason'));
    }
    return reply;
  }
}

function text(value: NgValue | undefined): string {
  if (Buffer.isBuffer(value)) {
    return value.toString();
  }
  return typeof value === 'object' ? 'a structure' : String(value);
}

/** rtpengine's uptime is unsigned and follows the wall clock: a clock stepped back to before the start wraps it around. */
function signed(digits: string): number {
  return /^\d+$/.test(digits) ? Number(BigInt.asIntN(64, BigInt(digits))) : Number.NaN;
}

function dig(value: NgValue | undefined, ...path: string[]): NgValue | undefined {
  let at = value;
  for (const name of path) {
    if (typeof at !== 'object' || Array.isArray(at) || Buffer.isBuffer(at)) {
      return undefined;
    }
    at = at[name];
  }
  return at;
}
