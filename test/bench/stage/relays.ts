import { capabilities, capabilityFeature } from '../../../services/control/rtpproxy/capabilities.js';
import type { Relay, RelayKind } from '../../../services/domain/relay.js';
import { loadCodec } from '../../../services/registry/codecs/load.js';
import { relayCodec } from '../../../services/registry/codecs/relay.js';
import { Keyspace } from '../../../services/registry/keyspace.js';
import type { Scope } from '../../support/process.js';
import type { Etcd } from './etcd.js';

const defaultPrefix = '/holdfast/v1';
const reportPeriodMs = 1000;
/** etcd takes at most 128 operations in a transaction. */
const perTransaction = 100;

export interface RelayOptions {
  /** Port of the relays' control address, on loopback. */
  readonly controlPort?: number;
  /** Default: rtpengine. */
  readonly kind?: RelayKind;
}

/**
 * Registrations without relays: the same keys and values as those of relay nodes, with a load report for each every second.
 * They have no lease, so that a busy machine loses none of them.
 */
export class RegisteredRelays {
  readonly keys = new Keyspace(defaultPrefix);
  readonly #etcd: Etcd;
  readonly #revisions = new Map<string, number>();
  readonly relays: Relay[];
  #timer: NodeJS.Timeout | undefined;

  private constructor(etcd: Etcd, relays: Relay[]) {
    this.#etcd = etcd;
    this.relays = relays;
  }

  static async register(
    scope: Scope,
    etcd: Etcd,
    count: number,
    options: RelayOptions = {},
  ): Promise<RegisteredRelays> {
    const registered = new RegisteredRelays(etcd, relaysNamed(count, options));
    await registered.#put(
      registered.relays.map((relay) => ({ key: registered.#key(relay), value: relayCodec.encode(relay) })),
    );
    const { kvs } = await etcd.client.kv.range({
      key: Buffer.from(registered.keys.relays),
      range_end: Buffer.from(registered.keys.relays.replace(/\/$/, '0')),
    });
    for (const { key, mod_revision } of kvs) {
      registered.#revisions.set(key.toString(), Number(mod_revision));
    }
    await registered.#report();
    registered.#timer = setInterval(() => void registered.#report().catch(() => {}), reportPeriodMs);
    scope.teardown(() => registered.pauseReports());
    return registered;
  }

  /** The guard of a write for the first relay. */
  get guard(): { readonly key: string; readonly revision: number } {
    const key = this.#key(this.relays[0] as Relay).toString();
    return { key, revision: this.#revisions.get(key) ?? 0 };
  }

  async remove(relay: Relay): Promise<void> {
    await this.#etcd.client.kv.deleteRange({ key: this.#key(relay) });
    this.relays.splice(this.relays.indexOf(relay), 1);
  }

  /** Stops the load reports, so that etcd counts only other writes. */
  pauseReports(): void {
    clearInterval(this.#timer);
  }

  async #report(): Promise<void> {
    const report = loadCodec.encode({ calls: 0, cpu: 0.1, packetRate: 0, atMs: Date.now() });
    await this.#put(this.relays.map(({ set, id }) => ({ key: this.keys.loadOf(set, id), value: report })));
  }

  async #put(entries: readonly { readonly key: Buffer; readonly value: Buffer }[]): Promise<void> {
    for (let at = 0; at < entries.length; at += perTransaction) {
      const success = entries.slice(at, at + perTransaction).map((entry) => ({ request_put: entry }));
      await this.#etcd.client.kv.txn({ compare: [], success, failure: [] });
    }
  }

  #key({ set, id }: Relay): Buffer {
    return this.keys.relay(set, id);
  }
}

export function relaysNamed(
  count: number,
  { controlPort = 22_222, kind = 'rtpengine' }: RelayOptions = {},
): Relay[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `relay-${String(index + 1).padStart(4, '0')}`,
    set: 'default',
    kind,
    instance: (index + 1).toString(16).padStart(16, '0'),
    controlUrl: `udp:127.0.0.1:${controlPort}`,
    mediaAddresses: { default: '192.0.2.10' },
    state: 'active',
    weight: 100,
    capacity: 0,
    zone: '',
    labels: {},
    // A proxy asks for them before it uses a relay.
    features: kind === 'rtpproxy' ? capabilities.map(capabilityFeature) : [],
    version: '12.5.1',
    startedAtMs: Date.now(),
  }));
}
