import type { Address } from '../runtime/address.js';
import type { Clock } from '../runtime/clock.js';
import { type DatagramCounters, DatagramSender } from '../runtime/datagram-sender.js';
import type { Logger } from '../runtime/log.js';
import { encodeHep, type HepAgent, type HepPacket } from './packet.js';

export interface HepSenderDeps {
  readonly to: Address;
  readonly agent: HepAgent;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Sends HEP3 packets over UDP, and waits for nothing. */
export class HepSender {
  readonly #agent: HepAgent;
  readonly #datagrams: DatagramSender;

  constructor({ agent, ...deps }: HepSenderDeps) {
    this.#agent = agent;
    this.#datagrams = new DatagramSender({ ...deps, what: 'HEP' });
  }

  get counters(): DatagramCounters {
    return this.#datagrams.counters;
  }

  /** Where packets come from; undefined before the server's address is known. */
  get local(): Address | undefined {
    return this.#datagrams.local;
  }

  start(): void {
    this.#datagrams.start();
  }

  stop(): void {
    this.#datagrams.stop();
  }

  /** Never throws. */
  send(packet: HepPacket): void {
    this.#datagrams.send(() => encodeHep(packet, this.#agent));
  }
}
