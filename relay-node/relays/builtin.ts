import { createRequire } from 'node:module';
import { type Address, formatAddress } from '../../services/runtime/address.js';
import type { BuiltinRelay } from './builtin-relay.js';
import type { RelayDriver, RelayStatus } from './relay.js';

const { version } = createRequire(import.meta.url)('#package') as { version: string };

/** Asks the relay in this process. It answers for as long as the process runs. */
export class BuiltinDriver implements RelayDriver {
  readonly kind = 'builtin';
  readonly #relay: BuiltinRelay;
  readonly #advertise: Address | undefined;
  readonly #monotonicMs: () => number;
  #startedAtMs = 0;

  constructor(relay: BuiltinRelay, advertise: Address | undefined, monotonicMs: () => number) {
    this.#relay = relay;
    this.#advertise = advertise;
    this.#monotonicMs = monotonicMs;
  }

  get controlUrl(): string {
    return this.#advertise ? `udp:${formatAddress(this.#advertise)}` : this.#relay.controlUrl;
  }

  async start(): Promise<void> {
    await this.#relay.start();
    this.#startedAtMs = this.#monotonicMs();
  }

  stop(): Promise<void> {
    return this.#relay.stop();
  }

  async ping(): Promise<void> {}

  async status(): Promise<RelayStatus> {
    const { calls, packetRate } = this.#relay.load();
    return { startedAtMs: this.#startedAtMs, instance: this.#relay.instance, version, calls, packetRate };
  }

  async callIds(): Promise<string[]> {
    return this.#relay.callIds();
  }
}
