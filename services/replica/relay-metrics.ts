import { Gauge, type Registry } from 'prom-client';
import {
  effectiveState,
  effectiveWeight,
  type RegisteredRelay,
  relayKey,
  relaysInUse,
} from '../domain/relay.js';

export interface RelayMetricsDeps {
  readonly directory: { list(): readonly RegisteredRelay[] };
  /** Relays that left within the last day. */
  readonly gone: () => readonly RegisteredRelay[];
  /** How many bindings this replica remembers for each relay, by `relayKey`. */
  readonly bindings: () => ReadonlyMap<string, number>;
}

interface Family {
  readonly name: string;
  readonly help: string;
  readonly labelNames?: readonly string[];
  /** Undefined where it is not known of this relay. */
  readonly read: (relay: RegisteredRelay, bindings: ReadonlyMap<string, number>) => number | undefined;
  readonly labels?: (relay: RegisteredRelay) => Readonly<Record<string, string>>;
}

const families: readonly Family[] = [
  {
    name: 'holdfast_registered_relay_state',
    help: '1 for the state that the relay is in',
    labelNames: ['state'],
    labels: (relay) => ({ state: effectiveState(relay) }),
    read: () => 1,
  },
  {
    name: 'holdfast_registered_relay_calls',
    help: 'Concurrent calls, as the relay reports them',
    read: ({ load }) => load?.calls,
  },
  {
    name: 'holdfast_registered_relay_ping_seconds',
    help: 'How long the relay took to answer its relay node',
    read: ({ load }) => (load?.pingMs === undefined ? undefined : load.pingMs / 1000),
  },
  {
    name: 'holdfast_registered_relay_bindings',
    help: 'Bindings of the relay that this replica remembers',
    read: ({ relay }, bindings) => bindings.get(relayKey(relay.set, relay.id)) ?? 0,
  },
  {
    name: 'holdfast_registered_relay_capacity',
    help: 'Most concurrent calls; 0 is no limit',
    read: ({ relay }) => relay.capacity,
  },
  {
    name: 'holdfast_registered_relay_weight',
    help: 'Share of new calls, relative to the rest of the set',
    read: effectiveWeight,
  },
];

/** Adds series of every registered relay. Of one that has gone without being drained, a day long, only that it is not up. */
export function reportRelays(registry: Registry, { directory, gone, bindings }: RelayMetricsDeps): void {
  const common = { labelNames: ['set', 'relay'], registers: [registry] };
  new Gauge({
    ...common,
    name: 'holdfast_registered_relay_up',
    help: '1 while the relay is registered, 0 for a day after it has gone without being drained',
    collect() {
      this.reset();
      for (const { relay } of directory.list()) {
        this.set({ set: relay.set, relay: relay.id }, 1);
      }
      for (const each of gone().filter((relay) => effectiveState(relay) === 'active')) {
        this.set({ set: each.relay.set, relay: each.relay.id }, 0);
      }
    },
  });
  new Gauge({
    name: 'holdfast_relays_in_use',
    help: 'How many relays of the set its calls fill: calls over capacity, summed',
    labelNames: ['set'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [set, relays] of relaysInUse(directory.list())) {
        this.set({ set }, relays);
      }
    },
  });
  for (const { name, help, labelNames = [], labels, read } of families) {
    new Gauge({
      ...common,
      name,
      help,
      labelNames: [...common.labelNames, ...labelNames],
      collect() {
        this.reset();
        const counts = bindings();
        for (const each of directory.list()) {
          const value = read(each, counts);
          if (value !== undefined) {
            this.set({ set: each.relay.set, relay: each.relay.id, ...labels?.(each) }, value);
          }
        }
      },
    });
  }
}
