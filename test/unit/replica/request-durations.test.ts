import test from 'ava';
import fc from 'fast-check';
import { Histogram, Registry } from 'prom-client';
import { RequestDurations } from '../../../services/replica/request-durations.js';
import { holds } from '../../support/property.js';

/** As the library itself would count them. */
function counterpart(registry: Registry) {
  return new Histogram({
    name: 'holdfast_request_duration_seconds',
    help: 'Time to answer one request, by method and gRPC status',
    labelNames: ['method', 'code'],
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
    registers: [registry],
  });
}

const observation = fc.record({
  method: fc.constantFrom('Select', 'Lookup', 'Release'),
  code: fc.constantFrom('OK', 'UNAVAILABLE'),
  // On the bounds of buckets, between them and beyond.
  ms: fc.oneof(fc.constantFrom(0, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500), fc.nat(10_000)),
});

test('the histogram is what Prometheus’s own library makes of the same observations', async (t) => {
  await holds(
    t,
    fc.asyncProperty(fc.array(observation, { maxLength: 50 }), async (observations) => {
      const [ours, theirs] = [new Registry(), new Registry()];
      const durations = new RequestDurations(ours);
      const histogram = counterpart(theirs);
      for (const { method, code, ms } of observations) {
        durations.observe(method, code, ms);
        histogram.observe({ method, code }, ms / 1000);
      }
      const lines = async (registry: Registry) => (await registry.metrics()).split('\n').sort();
      t.deepEqual(await lines(ours), await lines(theirs));
    }),
    { runs: 200 },
  );
});
