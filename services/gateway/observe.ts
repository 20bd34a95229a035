import type { ControlRequest, Verdict } from '../control/protocol.js';
import type { Clock } from '../runtime/clock.js';
import type { FrontMetrics } from '../selection/front-metrics.js';

export interface ObserverDeps {
  readonly metrics: FrontMetrics;
  readonly clock: Clock;
}

/** Of what a sender was answered, whether by a relay or by the gateway itself. */
const results: Readonly<Record<Verdict['kind'], string>> = {
  accepted: 'ok',
  unchanged: 'unchanged',
  full: 'full',
  unsupported: 'unsupported',
  'unknown-call': 'unknown_call',
  error: 'error',
};

/** Has a request handled, and records what came of it and how long it took. */
export async function observe(
  request: ControlRequest,
  { metrics, clock }: ObserverDeps,
  handle: () => Promise<Buffer>,
): Promise<Buffer> {
  const startedAtMs = clock.monotonicMs();
  let result = 'internal';
  try {
    const reply = await handle();
    result = results[request.judge(reply).kind];
    return reply;
  } finally {
    metrics.observeRequest(request.commandName, result, clock.monotonicMs() - startedAtMs);
  }
}
