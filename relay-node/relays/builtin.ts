import { createRequire } from 'node:module';
import { capabilityFeature } from '../../services/control/rtpproxy/capabilities.js';
import type { UdpServerCounters } from '../../services/control/udp/server.js';
import { newInstanceId } from '../../services/registry/instance-id.js';
import { type Address, formatAddress, isUnspecified } from '../../services/runtime/address.js';
import { readBootId } from '../../services/runtime/boot-id.js';
import { NgFront } from '../control/ng/server.js';
import { type Audience, type NoticeCounters, Notices } from '../control/notices/notices.js';
import { ownCapabilities } from '../control/rtpproxy/capabilities.js';
import { RtpproxyFront } from '../control/rtpproxy/server.js';
import { MediaRelay, type MediaRelayOptions } from '../media/media-relay.js';
import type { RelayDriver, RelayStatus } from './relay.js';

const { version } = createRequire(import.meta.url)('#package') as { version: string };

export interface BuiltinRelayOptions extends Omit<MediaRelayOptions, 'state' | 'seesEvents'>, Audience {
  /** Where it keeps what the next process needs to go on with its calls; empty: they end with this one. */
  readonly stateDirectory?: string;
  /** Where SIP proxies control it; port 0 lets the system choose. */
  readonly ngListen: Address;
  /** The same for SIP proxies that control it as an rtpproxy; none if undefined. */
  readonly rtpproxyListen?: Address | undefined;
  /** What SIP proxies are told, where it differs. */
  readonly advertise?: Address | undefined;
}

/**
 * A media relay inside this process, for machines without rtpengine and for tests: media sessions, and in front of
 * them the ng protocol, and that of rtpproxy if it is wanted. It neither transcodes nor encrypts.
 */
export class BuiltinRelay implements RelayDriver {
  readonly kind = 'builtin';
  readonly #instance = newInstanceId();
  readonly media: MediaRelay;
  readonly #options: BuiltinRelayOptions;
  readonly #ng: NgFront;
  readonly #rtpproxy: RtpproxyFront | undefined;
  readonly #notices: Notices;
  #stopped: Promise<void> | undefined;

  /** @throws TypeError, RangeError */
  constructor(options: BuiltinRelayOptions) {
    const { ngListen, rtpproxyListen, clock, log } = options;
    this.#options = options;
    const { stateDirectory } = options;
    const state = stateDirectory
      ? { directory: stateDirectory, bootId: readBootId(), instance: this.#instance }
      : undefined;
    this.media = new MediaRelay({ ...options, state, seesEvents: Notices.hearsKeys(options) });
    this.#notices = new Notices(options, { sessions: this.media.sessions, clock, log });
    this.#ng = new NgFront(ngListen, { media: this.media, clock, log });
    this.#rtpproxy = rtpproxyListen && new RtpproxyFront(rtpproxyListen, { media: this.media, clock, log });
  }

  /** @throws Error naming the address, if one cannot be used */
  async start(): Promise<void> {
    try {
      await this.media.start();
      this.#notices.start();
      await this.#ng.start();
      await this.#rtpproxy?.start();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Undefined without a state directory. */
  get leave(): (() => Promise<void>) | undefined {
    return this.#options.stateDirectory ? () => this.#leave() : undefined;
  }

  async #leave(): Promise<void> {
    const fronts = [this.#ng, this.#rtpproxy, this.#notices];
    this.#stopped ??= Promise.all(fronts.map((front) => front?.stop())).then(() => this.media.leave());
    await this.#stopped;
  }

  /** Ends all calls and closes all sockets. */
  stop(): Promise<void> {
    const parts = [this.media, this.#ng, this.#rtpproxy, this.#notices];
    this.#stopped ??= Promise.all(parts.map((part) => part?.stop())).then(() => undefined);
    return this.#stopped;
  }

  /** Random id of this life: another one has none of its calls. Known once started. */
  get instance(): string {
    return this.media.instance ?? this.#instance;
  }

  get controlUrl(): string {
    return this.#urlOf(this.#options.advertise ?? this.#ng.address);
  }

  /** Where it is controlled as an rtpproxy; undefined if it is not. */
  get rtpproxyUrl(): string | undefined {
    const { advertise } = this.#options;
    const address = this.#rtpproxy?.address;
    return address && this.#urlOf({ host: advertise?.host ?? address.host, port: address.port });
  }

  #urlOf({ host, port }: Address): string {
    const reachable = isUnspecified(host) ? this.media.sockets.interfaces.first.advertised : host;
    return `udp:${formatAddress({ host: reachable, port })}`;
  }

  /** Counters of the ng protocol. */
  get ngCounters(): Readonly<UdpServerCounters> {
    return this.#ng.counters;
  }

  get noticeCounters(): NoticeCounters {
    return this.#notices.counters;
  }

  get forwardedWhere(): string {
    return this.media.forwardedWhere;
  }

  /** It answers for as long as the process runs. */
  async ping(): Promise<void> {}

  async status(): Promise<RelayStatus> {
    const { startedAtMs } = this.media;
    const { calls, packetRate, kernelPacketRate } = this.media.load();
    return { startedAtMs, instance: this.instance, version, calls, packetRate, kernelPacketRate };
  }

  async callIds(): Promise<string[]> {
    return this.media.sessions.ids();
  }

  async features(): Promise<string[]> {
    const { families, names } = this.media.sockets.interfaces;
    const bridge = names.length > 1 ? ['bridge'] : [];
    const play = this.media.player ? ['play'] : [];
    const record = this.media.recorder ? ['record'] : [];
    return [
      ...bridge,
      'ice',
      ...play,
      ...record,
      ...families.map((family) => `ipv${family}`),
      ...(this.#rtpproxy ? ownCapabilities.map(capabilityFeature) : []),
    ];
  }
}
