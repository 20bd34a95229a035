import {
  Counter,
  type CounterConfiguration,
  collectDefaultMetrics,
  Gauge,
  type GaugeConfiguration,
  Histogram,
  Registry,
} from 'prom-client';
import type { ProtocolName } from '../control/protocol.js';
import type { Freshness, Origin } from '../domain/binding.js';
import { reportBuild } from '../runtime/build-metric.js';
import { type FrontMetrics, type RefusalCause, refusalCauses } from '../selection/front-metrics.js';
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
  kept: ['provisional_kept', 'Calls bound to the relay that they were given without etcd'],
  conflicts: ['provisional_conflicts', 'Calls given one relay without etcd and bound to another'],
  relaysGone: [
    'provisional_relays_gone',
    'Calls given a relay without etcd that was gone when etcd was back',
  ],
  dropped: ['provisional_dropped', 'Provisional bindings dropped because there were too many'],
};

type LabeledCount = readonly [labels: Readonly<Record<string, string>>, count: number];

/** Where requests come in. */
export type Front = 'grpc' | ProtocolName;

interface FrontCounts {
  readonly answers: Record<Origin, Record<Freshness, number>>;
  readonly refusals: Map<RefusalCause, number>;
}

function newCounts(): FrontCounts {
  const none = () => ({ fresh: 0, stale: 0, provisional: 0 });
  return {
    answers: { new: none(), existing: none(), moved: none() },
    refusals: new Map(refusalCauses.map((cause) => [cause, 0])),
  };
}

/** The Prometheus metrics of a replica. */
export class Metrics {
  readonly registry = new Registry();
  readonly #durations = new RequestDurations(this.registry);
  readonly #fronts = new Map<Front, FrontCounts>();

  readonly #commits = new Histogram({
    name: 'holdfast_etcd_commit_duration_seconds',
    help: 'Time that etcd took to answer one transaction',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
    registers: [this.registry],
  });

  /** etcd has answered a transaction. */
  committed(durationMs: number): void {
    this.#commits.observe(durationMs / 1000);
  }

  /** Where a front counts. */
  front(front: Front): FrontMetrics {
    const counts = newCounts();
    this.#fronts.set(front, counts);
    return {
      observeRequest: this.#durations.front(front),
      countAnswer(origin, freshness) {
        counts.answers[origin][freshness]++;
      },
      countRefusal(cause) {
        counts.refusals.set(cause, (counts.refusals.get(cause) ?? 0) + 1);
      },
    };
  }

  /** Adds the metrics of these sources. */
  watch(sources: MetricSources): void {
    collectDefaultMetrics({ register: this.registry });
    reportBuild(this.registry);
    this.#totals('requests_total', 'Requests answered', ['front', 'command', 'result'], () =>
      this.#durations.results(),
    );
    this.#totals(
      'select_answers_total',
      'Calls that were given a relay, by origin and freshness of the binding',
      ['front', 'origin', 'freshness'],
      () => this.#answered(),
    );
    this.#totals('calls_refused_total', 'Calls that were refused, by cause', ['front', 'cause'], () =>
      this.#refused(),
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

  /** Adds what became of HEP packets, if any are sent. */
  watchHep(read: () => Readonly<Record<string, number>> | undefined): void {
    this.#totals('hep_packets_total', 'HEP packets, by what became of them', ['result'], () =>
      Object.entries(read() ?? {}).map(([result, count]): LabeledCount => [{ result }, count]),
    );
  }

  /** Only combinations that have occurred. */
  #answered(): LabeledCount[] {
    return [...this.#fronts].flatMap(([front, { answers }]) =>
      Object.entries(answers).flatMap(([origin, counts]) =>
        Object.entries(counts)
          .filter(([, count]) => count > 0)
          .map(([freshness, count]): LabeledCount => [{ front, origin, freshness }, count]),
      ),
    );
  }

  #refused(): LabeledCount[] {
    return [...this.#fronts].flatMap(([front, { refusals }]) =>
      [...refusals].map(([cause, count]): LabeledCount => [{ front, cause: snakeCase(cause) }, count]),
    );
  }

  #total(name: string, help: string, read: () => number): void {
    this.#totals(name, help, [], () => [[{}, read()]]);
  }

  #totals(
    name: string,
    help: string,
    labelNames: readonly string[],
    read: () => readonly LabeledCount[],
  ): void {
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
  return name.replaceAll('-', '_').replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
