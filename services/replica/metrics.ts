import {
  Counter,
  type CounterConfiguration,
  collectDefaultMetrics,
  Gauge,
  type GaugeConfiguration,
  Registry,
} from 'prom-client';
import type { Freshness, Origin } from '../domain/binding.js';
import type { RequestMetrics } from '../grpc/observed.js';
import type { Selector } from '../selection/selector.js';
import { RequestDurations } from './request-durations.js';

/** Numbers that are kept elsewhere and read when they are asked for. */
export interface MetricSources {
  /** Asked anew each time. */
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
  claimed: ['provisional_claimed', 'Calls bound where they were promised without etcd'],
  conflicts: ['provisional_conflicts', 'Calls promised one relay without etcd and bound to another'],
  relaysGone: ['provisional_relays_gone', 'Calls whose promised relay was gone when etcd was back'],
  dropped: ['provisional_dropped', 'Promises forgotten because there were too many'],
};

type LabeledCount = [labels: Readonly<Record<string, string>>, count: number];

/** What a replica tells Prometheus. */
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

  /** Begins to report numbers that others keep. */
  watch(sources: MetricSources): void {
    collectDefaultMetrics({ register: this.registry });
    this.#totals(
      'select_answers_total',
      'Select answers, by how the binding came to be and how much to trust it',
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
      'Times that so many relays vanished at once that they were listed again first',
      () => directory.massLosses,
    );
    this.#total('etcd_commits_total', 'etcd transactions', () => commits.commits);
    this.#total('etcd_operations_total', 'Operations carried by them', () => commits.operations);
    this.#total(
      'etcd_failed_commits_total',
      'etcd transactions without an answer',
      () => commits.failedCommits,
    );
    this.#gauge('etcd_operations_waiting', 'Operations waiting for a commit', sources.waiting);
    this.#gauge(
      'etcd_lost_seconds',
      'How long etcd has been out of reach; 0 while it answers',
      () => Math.round(sources.lostForMs()) / 1000,
    );
    this.#gauge(
      'provisional_bindings',
      'Calls given a relay without etcd, and not bound yet',
      sources.provisionalBindings,
    );
    this.#gauge('cached_bindings', 'Bindings remembered by this replica', sources.cachedBindings);
    this.#gauge('relays', 'Registered relays', sources.relays);
    this.#gauge('registry_live', '1 while changes in etcd are heard as they happen', () =>
      sources.live() ? 1 : 0,
    );
  }

  /** Begins to report what the ng gateway counts. */
  watchGateway(read: () => Readonly<Record<string, number>>): void {
    this.#totals('ng_events_total', 'What happened to the datagrams of SIP proxies', ['event'], () =>
      Object.entries(read()).map(([event, count]) => [{ event: snakeCase(event) }, count]),
    );
  }

  /** Those that have been given: what never happened is not told. */
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
    const options: GaugeConfiguration<string> = {
      name: `holdfast_${name}`,
      help,
      registers: [this.registry],
      collect() {
        this.set(read());
      },
    };
    new Gauge(options);
  }
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
