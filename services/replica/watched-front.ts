import type { Events } from '../domain/events.js';
import type { FrontMetrics } from '../selection/front-metrics.js';
import type { Traffic } from './traffic.js';

interface Watchers {
  readonly front: string;
  readonly events: Events;
  readonly traffic: Traffic;
}

/** Requests of operators, which say nothing about how long a call waits. */
const notForCalls = ['ListRelays', 'ListBindings', 'SetIntent', 'WatchRelays', 'WatchEvents', 'GetStatus'];

/** Counts as the metrics do, tells of calls that were refused, and keeps how long answers took of late. */
export function watched(metrics: FrontMetrics, { front, events, traffic }: Watchers): FrontMetrics {
  return {
    ...metrics,
    observeRequest(command, result, durationMs) {
      metrics.observeRequest(command, result, durationMs);
      if (!notForCalls.includes(command)) {
        traffic.answered(durationMs);
      }
    },
    countRefusal(cause) {
      metrics.countRefusal(cause);
      events.callRefused(front, cause);
    },
  };
}
