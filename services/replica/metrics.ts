import {
  Counter,
  type CounterConfiguration,
  collectDefaultMetrics,
  Gauge,
  type GaugeConfiguration,
  Histogram,
  Registry,
} from 'prom-client';
import type { Freshness, Origin } from '../domain/binding.js';
import type { RequestMetrics } from '../grpc/observed.js';

/** Numbers that are kept elsewhere and read when they are asked for. */
export interface MetricSources {
  readonly selector: Readonly<Record<'bound' | 'moved' | 'refreshed' | 'released' | 'guardFailures', number>>;
  readonly commits: Readonly<Record<'commits' | 'operations' | 'failedCommits', number>>;
  readonly waiting: () => number;
  readonly cachedBindings: () => number;
  readonly relays: () => number;
  readonly live: () => boolean;
}

/** What a replica tells Prometheus. */
export class Metrics implements RequestMetrics {
  readonly registry = new Registry();
  readonly #duration = new Histogram({
    name: 'holdfast_request_duration_seconds',
    help: 'Time to answer one request, by method and gRPC status',
    labelNames: ['method', 'code'],
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
    registers: [this.registry],
  });
  readonly #answers = new Counter({
    name: 'holdfast_select_answers_total',
    help: 'Select answers, by how the binding came to be and how much to trust it',
    labelNames: ['origin', 'freshness'],
    registers: [this.registry],
  });

  observeRequest(method: string, code: string, durationMs: number): void {
    this.#duration.observe({ method, code }, durationMs / 1_000);
  }

  countAnswer(origin: Origin, freshness: Freshness): void {
    this.#answers.inc({ origin, freshness });
  }

  /** Begins to report numbers that others keep. */
  watch(sources: MetricSources): void {
    collectDefaultMetrics({ register: this.registry });
    const { selector, commits } = sources;
    this.#total('bindings_created_total', 'Calls bound', () => selector.bound);
    this.#total('bindings_moved_total', 'Calls moved to another relay', () => selector.moved);
    this.#total('bindings_refreshed_total', 'Bindings whose life was prolonged', () => selector.refreshed);
    this.#total('bindings_released_total', 'Calls released', () => selector.released);
    this.#total(
      'guard_failures_total',
      'Writes refused because this replica was behind',
      () => selector.guardFailures,
    );
    this.#total('etcd_commits_total', 'etcd transactions', () => commits.commits);
    this.#total('etcd_operations_total', 'Operations carried by them', () => commits.operations);
    this.#total(
      'etcd_failed_commits_total',
      'etcd transactions without an answer',
      () => commits.failedCommits,
    );
    this.#gauge('etcd_operations_waiting', 'Operations waiting for a commit', sources.waiting);
    this.#gauge('cached_bindings', 'Bindings remembered by this replica', sources.cachedBindings);
    this.#gauge('relays', 'Registered relays', sources.relays);
    this.#gauge('registry_live', '1 while changes in etcd are heard as they happen', () =>
      sources.live() ? 1 : 0,
    );
  }

  /** Begins to report what the ng gateway counts. */
  watchGateway(read: () => Readonly<Record<string, number>>): void {
    const options: CounterConfiguration<'event'> = {
      name: 'holdfast_ng_events_total',
      help: 'What happened to the datagrams of SIP proxies',
      labelNames: ['event'],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const [event, count] of Object.entries(read())) this.inc({ event: snakeCase(event) }, count);
      },
    };
    new Counter(options);
  }

  #total(name: string, help: string, read: () => number): void {
    const options: CounterConfiguration<string> = {
      name: `holdfast_${name}`,
      help,
      registers: [this.registry],
      collect() {
        this.reset();
        this.inc(read());
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
