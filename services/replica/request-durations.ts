import type { Metric, Registry } from 'prom-client';

/** Of the buckets, s; one more bucket takes longer durations. */
const upperBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

interface Series {
  readonly labels: Readonly<Record<'front' | 'command', string>>;
  readonly counts: Float64Array;
  readonly byResult: Map<string, number>;
  sumSeconds: number;
}

/** Records one request. */
export type Observe = (command: string, result: string, durationMs: number) => void;

/**
 * How long requests took, as a Prometheus histogram, and what came of them. The library's own histogram checks and joins its
 * labels at each observation, which is a good part of the cost of an answer from memory. This one only looks up two names; the
 * library's registry reads it.
 */
export class RequestDurations {
  readonly name = 'holdfast_request_duration_seconds';
  readonly #series: Series[] = [];

  constructor(registry: Registry) {
    registry.registerMetric(this as unknown as Metric);
  }

  /** For the requests of one front. */
  front(front: string): Observe {
    const byCommand = new Map<string, Series>();
    return (command, result, durationMs) => {
      let series = byCommand.get(command);
      if (!series) {
        series = this.#begin({ front, command });
        byCommand.set(command, series);
      }
      const seconds = durationMs / 1000;
      let bucket = 0;
      while (bucket < upperBounds.length && seconds > (upperBounds[bucket] as number)) {
        bucket++;
      }
      series.counts[bucket] = (series.counts[bucket] as number) + 1;
      series.sumSeconds += seconds;
      series.byResult.set(result, (series.byResult.get(result) ?? 0) + 1);
    };
  }

  /** How many requests had each result. */
  results(): (readonly [labels: Readonly<Record<string, string>>, count: number])[] {
    return this.#series.flatMap(({ labels, byResult }) =>
      [...byResult].map(([result, count]) => [{ ...labels, result }, count] as const),
    );
  }

  /** Called by the registry at each scrape. */
  async get() {
    return {
      name: this.name,
      help: 'Time to answer one request, by front and command',
      type: 'histogram',
      aggregator: 'sum',
      values: this.#series.flatMap(valuesOf(this.name)),
    };
  }

  #begin(labels: Series['labels']): Series {
    const counts = new Float64Array(upperBounds.length + 1);
    const series = { labels, counts, byResult: new Map<string, number>(), sumSeconds: 0 };
    this.#series.push(series);
    return series;
  }
}

/** Buckets are cumulative: each includes those before it. */
const valuesOf =
  (name: string) =>
  ({ labels, counts, sumSeconds }: Series) => {
    let count = 0;
    const buckets = [...counts].map((inBucket, index) => {
      count += inBucket;
      const le = index < upperBounds.length ? upperBounds[index] : '+Inf';
      return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: count };
    });
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels, value: sumSeconds },
      { metricName: `${name}_count`, labels, value: count },
    ];
  };
