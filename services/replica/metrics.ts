import {
  Counter,
  type CounterConfiguration,
  collectDefaultMetrics,
  Gauge,
  type GaugeConfiguration,
  Registry,
} from 'prom-client';
import type { Freshness, Origin } from '../domain/binding.js';
import type { RequestMetrics } from '../grpc/observe.js';
import type { Selector } from '../selection/selector.js';
import { RequestDurations } from './request-durations.js';

/** Numbers that components keep, read at each scrape. */
export interface MetricSources {
  readonly selector: () => Selector['counters'];
  readonly commits: Readonly<Record<'commits' | 'operations' | 'failedCommits', number>>;
  readonly quorum: Readonly<Record<'losses', number>>;
  readonly directory: Readonly<Record<'massLosses', number>>;
  readonly waiting: () => number;
  readonly cachedBindings: () => number;
  readonly provisionalBindings: () => number;
  readonly relays: () => number;
  readonly live: () => boolean;
  readonly lostForMs: () => number;
  /** How many other replicas differ, by setting. */
  readonly differingSettings: () => ReadonlyMap<string, number>;
}

const selectorTotals: Record<keyof Selector['counters'], [name: string, help: string]> = {
  bound: ['bindings_created', 'Calls bound'],
  moved: ['bindings_moved', 'Calls moved to another relay'],
  refreshed: ['bindings_refreshed', 'Bindings whose life was prolonged'],
  answered: ['bindings_answered', 'Calls answered'],
  released: ['bindings_released', 'Calls released'],
  adopted: ['bindings_adopted', 'Calls found on a relay and bound to it'],
  reasserted: ['bindings_reasserted', 'Bindings written again because etcd had lost them'],
  guardFailures: ['guard_failures', 'Writes refused because this replica was behind'],
  claimed: ['provisional_claimed', 'Calls bound to the relay that they were given without etcd'],
  conflicts: ['provisional_conflicts', 'Calls given one relay without etcd and bound to another'],
  relaysGone: [
    'provisional_relays_gone',
    'Calls given a relay without etcd that was gone when etcd was back',
  ],
  dropped: ['provisional_dropped', 'Provisional bindings dropped because there were too many'],
};

type LabeledCount = [labels: Readonly<Record<string, string>>, count: number];

/** The Prometheus metrics of a replica. */
export class Metrics implements RequestMetrics {
  readonly registry = new Registry();
  readonly #durations = new RequestDurations(this.registry);
  readonly #answers: Record<Origin, Record<Freshness, number>> = {
    new: { fresh: 0, stale: 0, provisional: 0 },
    existing: { fresh: 0, stale: 0, provisional: 0 },
    moved: { fresh: 0, stale: 0, provisional: 0 },
  };

  observeRequest(method: string, code: string, durationMs: number): void {
    this.#durations.observe(method, code, durationMs);
  }

  countAnswer(origin: Origin, freshness: Freshness): void {
    this.#answers[origin][freshness]++;
  }

  /** Adds the metrics of these sources. */
  watch(sources: MetricSources): void {
    collectDefaultMetrics({ register: this.registry });
    this.#totals(
      'select_answers_total',
      'Select answers, by origin and freshness of the binding',
      ['origin', 'freshness'],
      () => this.#answered(),
    );
    const { selector, commits, quorum, directory } = sources;
    for (const [counter, [name, help]] of Object.entries(selectorTotals)) {
      this.#total(`${name}_total`, help, () => selector()[counter as keyof Selector['counters']]);
    }
    this.#total('etcd_losses_total', 'Times that etcd went out of reach', () => quorum.losses);
    this.#total(
      'mass_losses_total',
      'Times that so many relays vanished at once that they were listed again before that was believed',
      () => directory.massLosses,
    );
    this.#total('etcd_commits_total', 'etcd transactions', () => commits.commits);
    this.#total('etcd_operations_total', 'Operations in etcd transactions', () => commits.operations);
    this.#total(
      'etcd_failed_commits_total',
      'etcd transactions without an answer',
      () => commits.failedCommits,
    );
    this.#gauge('etcd_operations_waiting', 'Operations waiting for a commit', sources.waiting);
    this.#gauge(
      'etcd_lost_seconds',
      'How long etcd has been out of reach, or has refused writes; 0 while it takes them',
      () => Math.round(sources.lostForMs()) / 1000,
    );
    this.#gauges(
      'differing_settings',
      'Other replicas that share this etcd and have another value, by setting',
      ['setting'],
      () => [...sources.differingSettings()].map(([setting, count]) => [{ setting }, count]),
    );
    this.#gauge(
      'provisional_bindings',
      'Calls given a relay without etcd, and not yet bound in etcd',
      sources.provisionalBindings,
    );
    this.#gauge('cached_bindings', 'Bindings remembered by this replica', sources.cachedBindings);
    this.#gauge('relays', 'Registered relays', sources.relays);
    this.#gauge('registry_live', '1 while changes in etcd arrive as they happen', () =>
      sources.live() ? 1 : 0,
    );
  }

  /** Adds the counters of the gateways, by protocol. */
  watchGateways(read: () => Readonly<Record<string, Readonly<Record<string, number>>>>): void {
    this.#totals(
      'gateway_events_total',
      'What happened to the datagrams of SIP proxies, by protocol',
      ['protocol', 'event'],
      () =>
        Object.entries(read()).flatMap(([protocol, counts]) =>
          Object.entries(counts).map(
            ([event, count]): LabeledCount => [{ protocol, event: snakeCase(event) }, count],
          ),
        ),
    );
  }

  /** Only combinations that have occurred. */
  #answered(): LabeledCount[] {
    return Object.entries(this.#answers).flatMap(([origin, counts]) =>
      Object.entries(counts)
        .filter(([, count]) => count > 0)
        .map(([freshness, count]): LabeledCount => [{ origin, freshness }, count]),
    );
  }

  #total(name: string, help: string, read: () => number): void {
    this.#totals(name, help, [], () => [[{}, read()]]);
  }

  #totals(name: string, help: string, labelNames: readonly string[], read: () => LabeledCount[]): void {
    const options: CounterConfiguration<string> = {
      name: `holdfast_${name}`,
      help,
      labelNames,
      registers: [this.registry],
      collect() {
        this.reset();
        for (const [labels, count] of read()) {
          this.inc(labels, count);
        }
      },
    };
    new Counter(options);
  }

  #gauge(name: string, help: string, read: () => number): void {
    this.#gauges(name, help, [], () => [[{}, read()]]);
  }

  #gauges(name: string, help: string, labelNames: readonly string[], read: () => LabeledCount[]): void {
    const options: GaugeConfiguration<string> = {
      name: `holdfast_${name}`,
      help,
      labelNames,
      registers: [this.registry],
      collect() {
        for (const [labels, value] of read()) {
          this.set(labels, value);
        }
      },
    };
    new Gauge(options);
  }
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
