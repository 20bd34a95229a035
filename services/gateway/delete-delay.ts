import type { ControlRequest } from '../control/protocol.js';

/**
 * rtpengine carries on with a deleted call for its `delete-delay`, 30 s unless configured, and until then answers `query` for
 * it as before: the end shows only afterwards. A call that is carried still is asked for once more after twice that time: its
 * relay may be configured otherwise.
 */
export const deleteDelayMs = 32_000;
/** A relay may be told to carry on longer: then the call is left to its TTL. */
const mostDeleteDelayMs = 300_000;

/** When the end of a call shows that was deleted like this, ms. */
export function delayMsOf({ deleteDelaySeconds: seconds }: ControlRequest): number {
  return seconds === undefined ? deleteDelayMs : Math.min((seconds + 2) * 1000, mostDeleteDelayMs);
}
