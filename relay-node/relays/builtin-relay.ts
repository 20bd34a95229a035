import { randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import { NgServer } from '../../services/control/ng/server.js';
import type { UdpServerCounters } from '../../services/control/udp/server.js';
import { type Address, formatAddress, listenError } from '../../services/runtime/address.js';
import type { Clock } from '../../services/runtime/clock.js';
import type { Logger } from '../../services/runtime/log.js';
import { Commands } from '../control/ng/commands.js';
import { isUnspecified } from '../control/ng/sdp.js';
import { statisticsReport } from '../control/ng/statistics.js';
import { newTraffic, type Traffic } from '../media/counters.js';
import { PortPool } from '../media/port-pool.js';
import { Sessions } from '../media/sessions.js';
import { MediaSockets } from '../media/sockets.js';

export interface BuiltinRelayOptions {
  /** Where SIP proxies control it; port 0 lets the system choose. */
  readonly ngListen: Address;
  /** IP address of the media sockets. */
  readonly mediaAddress: string;
  /** The address that parties are told, if it is another one (a NAT in front). */
  readonly advertisedAddress?: string | undefined;
  readonly portMin: number;
  readonly portMax: number;
  readonly maxSessions: number;
  /** An answered call without packets ends after this long. rtpengine: 60 s. */
  readonly idleTimeoutMs: number;
  /** The same for a call on hold. Default 1 h, as rtpengine's silent-timeout. */
  readonly holdTimeoutMs?: number;
  /** An offer without answer ends after this long. Default 5 min, longer than SIP's timer C. */
  readonly answerTimeoutMs?: number;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface BuiltinRelayLoad {
  readonly calls: number;
  /** RTP and RTCP packets per second that were relayed. */
  readonly packetRate: number;
  readonly byteRate: number;
  readonly portPairs: number;
  readonly portPairsFree: number;
}

const sweepIntervalMs = 1000;
const maxMedia = 8;
const maxDialogs = 16;

/**
 * A media relay inside this process, for machines without rtpengine and for tests: it speaks the same
 * control protocol and forwards RTP in user space. It neither transcodes nor encrypts.
 */
export class BuiltinRelay {
  /** Random id of this life: another one has none of its calls. */
  readonly instance = randomBytes(12).toString('hex');
  readonly traffic: Readonly<Traffic>;
  readonly #options: BuiltinRelayOptions;
  readonly #traffic = newTraffic();
  readonly #pool: PortPool;
  readonly #sockets: MediaSockets;
  readonly #sessions: Sessions;
  readonly #server: NgServer;
  #startedAtMs = 0;
  #cancelSweep: () => void = () => undefined;
  #measured = { atMs: 0, packets: 0, bytes: 0 };
  #rates = { packets: 0, bytes: 0 };
  #stopped: Promise<void> | undefined;

  constructor(options: BuiltinRelayOptions) {
    const { mediaAddress, clock, log } = options;
    const advertised = options.advertisedAddress ?? mediaAddress;
    if (isIP(mediaAddress) === 0) {
      throw new TypeError(`media address ${mediaAddress} is not an IP address`);
    }
    if (isIP(advertised) === 0 || isUnspecified(advertised)) {
      throw new TypeError(`${advertised} is not an IP address that parties can send media to`);
    }
    this.#options = options;
    this.traffic = this.#traffic;
    this.#pool = new PortPool(options.portMin, options.portMax);
    this.#sockets = new MediaSockets(this.#pool, mediaAddress, advertised, this.#traffic);
    const limits = {
      maxMedia,
      maxDialogs,
      maxSessions: options.maxSessions,
      idleTimeoutMs: options.idleTimeoutMs,
      holdTimeoutMs: options.holdTimeoutMs ?? 3_600_000,
      answerTimeoutMs: options.answerTimeoutMs ?? 300_000,
    };
    this.#sessions = new Sessions(this.#sockets, limits, clock, log);
    const commands = new Commands(this.#sessions, this.#sockets, () => this.#statistics(), clock, log);
    this.#server = new NgServer({
      listen: [options.ngListen],
      handler: (message) => commands.handle(message),
      clock,
      log,
    });
  }

  async start(): Promise<void> {
    const { mediaAddress, clock } = this.#options;
    try {
      await this.#sockets.check();
    } catch (error) {
      throw listenError('media', { host: mediaAddress, port: 0 }, error);
    }
    await this.#server.start();
    this.#startedAtMs = clock.monotonicMs();
    this.#measured = { atMs: this.#startedAtMs, packets: 0, bytes: 0 };
    this.#scheduleSweep();
  }

  /** Ends all calls and closes all sockets. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  /** `udp:HOST:PORT`, as a SIP proxy is configured with it. */
  get controlUrl(): string {
    const { host, port } = this.#server.addresses()[0] ?? this.#options.ngListen;
    return `udp:${formatAddress({ host: isUnspecified(host) ? this.#sockets.advertised : host, port })}`;
  }

  calls(): number {
    return this.#sessions.size;
  }

  callIds(): string[] {
    return this.#sessions.ids();
  }

  load(): BuiltinRelayLoad {
    return {
      calls: this.#sessions.size,
      packetRate: this.#rates.packets,
      byteRate: this.#rates.bytes,
      portPairs: this.#pool.total,
      portPairsFree: this.#pool.free,
    };
  }

  /** Told the number of calls whenever it has changed; the returned function ends that. */
  onCallsChanged(listener: (calls: number) => void): () => void {
    return this.#sessions.onChange(listener);
  }

  /** Counters of the control protocol. */
  get ngCounters(): Readonly<UdpServerCounters> {
    return this.#server.counters;
  }

  async #stop(): Promise<void> {
    this.#cancelSweep();
    this.#sessions.close();
    await this.#server.stop();
  }

  #scheduleSweep(): void {
    this.#cancelSweep = this.#options.clock.after(sweepIntervalMs, () => {
      this.#sessions.expire();
      this.#measure();
      this.#scheduleSweep();
    });
  }

  #measure(): void {
    const atMs = this.#options.clock.monotonicMs();
    const seconds = (atMs - this.#measured.atMs) / 1000;
    if (seconds <= 0) {
      return;
    }
    const { relayedPackets: packets, relayedBytes: bytes } = this.#traffic;
    this.#rates = {
      packets: Math.round((packets - this.#measured.packets) / seconds),
      bytes: Math.round((bytes - this.#measured.bytes) / seconds),
    };
    this.#measured = { atMs, packets, bytes };
  }

  #statistics() {
    const { portMin: min, portMax: max, clock } = this.#options;
    return statisticsReport({
      calls: this.#sessions.size,
      packetRate: this.#rates.packets,
      byteRate: this.#rates.bytes,
      uptimeMs: clock.monotonicMs() - this.#startedAtMs,
      counts: this.#sessions.counts,
      traffic: this.#traffic,
      address: this.#sockets.advertised,
      ports: { min, max, total: this.#pool.total, free: this.#pool.free },
    });
  }
}
