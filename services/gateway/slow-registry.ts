import type { Call } from '../domain/call.js';
import { type Clock, inTime } from '../runtime/clock.js';
import type { Answer } from '../selection/requests.js';
import type { CallRouter } from './deps.js';

/**
 * etcd answers within milliseconds, or it is silent, and is taken for lost nearly a second later: too late for whoever has asked
 * first. By then a relay can have said that it carries the call, ms.
 */
const patienceMs = 400;
const late = Symbol('late');

/** What the registry says of a call in progress, or its relay if that says so first. */
export async function orLocated<Asked extends Answer | undefined>(
  { router, clock }: { readonly router: Pick<CallRouter, 'located'>; readonly clock: Clock },
  call: Call,
  asked: Promise<Asked>,
): Promise<Answer | Asked> {
  const found = await inTime(clock, patienceMs, asked, late);
  if (found !== late) {
    return found;
  }
  const located = router.located(call).then<Answer | Asked>((answer) => answer ?? asked);
  return Promise.race<Answer | Asked>([asked, located]);
}
