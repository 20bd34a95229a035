import test from 'ava';
import fc from 'fast-check';
import { Histogram, Registry } from 'prom-client';
import { type Observe, RequestDurations } from '../../../services/replica/request-durations.js';
import { holds } from '../../support/property.js';

/** As the library itself would count them. */
function counterpart(registry: Registry) {
  return new Histogram({
    name: 'holdfast_request_duration_seconds',
    help: 'Time to answer one request, by front and command',
    labelNames: ['front', 'command'],
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
    registers: [registry],
  });
}

const observation = fc.record({
  front: fc.constantFrom('grpc', 'ng'),
  command: fc.constantFrom('Select', 'offer', 'delete'),
  result: fc.constantFrom('ok', 'unavailable'),
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
      const fronts: Record<string, Observe> = { grpc: durations.front('grpc'), ng: durations.front('ng') };
      for (const { front, command, result, ms } of observations) {
        fronts[front]?.(command, result, ms);
        histogram.observe({ front, command }, ms / 1000);
      }
      const lines = async (registry: Registry) => (await registry.metrics()).split('\n').sort();
      t.deepEqual(await lines(ours), await lines(theirs));
      const total = durations.results().reduce((sum, [, count]) => sum + count, 0);
      t.is(total, observations.length, 'each has its result');
    }),
    { runs: 200 },
  );
});
