import type { ControlRequest, Verdict } from '../control/protocol.js';
import { type Address, formatAddress } from '../runtime/address.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import type { FrontMetrics } from '../selection/front-metrics.js';

export interface ObserverDeps {
  readonly metrics: FrontMetrics;
  readonly clock: Clock;
  readonly log: Logger;
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

/** What lines of the log have of a request. */
export function requestFields({ protocol, command, callId }: ControlRequest) {
  return { callId: callId?.toString('latin1'), protocol, command };
}

/** Has a request handled, and records what came of it and how long it took. @param source who sent it, for the log */
export async function observe(
  request: ControlRequest,
  source: Address,
  { metrics, clock, log }: ObserverDeps,
  handle: () => Promise<Buffer>,
): Promise<Buffer> {
  const startedAtMs = clock.monotonicMs();
  let result = 'internal';
  try {
    const reply = await handle();
    result = results[request.judge(reply).kind];
    return reply;
  } finally {
    const durationMs = clock.monotonicMs() - startedAtMs;
    metrics.observeRequest(request.commandName, result, durationMs);
    if (log.isLevelEnabled('debug') && request.act !== 'ping') {
      log.debug(
        { ...requestFields(request), source: formatAddress(source), result, ms: Math.round(durationMs) },
        'command answered',
      );
    }
  }
}
