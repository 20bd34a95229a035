import type { Metric, Registry } from 'prom-client';

/** Of the buckets, s; one more bucket takes longer durations. */
const upperBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

interface Series {
  readonly labels: Readonly<Record<string, string>>;
  readonly counts: Float64Array;
  sumSeconds: number;
}

/**
 * How long requests took, as a Prometheus histogram. The library's own histogram checks and joins its labels at each
 * observation, which is a good part of the cost of an answer from memory. This one only looks up two names; the library's
 * registry reads it.
 */
export class RequestDurations {
  readonly name = 'holdfast_request_duration_seconds';
  readonly #series = new Map<string, Map<string, Series>>();

  constructor(registry: Registry) {
    registry.registerMetric(this as unknown as Metric);
  }

  observe(method: string, code: string, durationMs: number): void {
    const seconds = durationMs / 1000;
    let bucket = 0;
    while (bucket < upperBounds.length && seconds > (upperBounds[bucket] as number)) {
      bucket++;
    }
    const series = this.#seriesOf(method, code);
    series.counts[bucket] = (series.counts[bucket] as number) + 1;
    series.sumSeconds += seconds;
  }

  /** Called by the registry at each scrape. */
  async get() {
    return {
      name: this.name,
      help: 'Time to answer one request, by method and gRPC status',
      type: 'histogram',
      aggregator: 'sum',
      values: [...this.#series.values()].flatMap((ofMethod) =>
        [...ofMethod.values()].flatMap(valuesOf(this.name)),
      ),
    };
  }

  #seriesOf(method: string, code: string): Series {
    let ofMethod = this.#series.get(method);
    if (!ofMethod) {
      ofMethod = new Map();
      this.#series.set(method, ofMethod);
    }
    let series = ofMethod.get(code);
    if (!series) {
      series = { labels: { method, code }, counts: new Float64Array(upperBounds.length + 1), sumSeconds: 0 };
      ofMethod.set(code, series);
    }
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
