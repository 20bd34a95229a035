import type { SelectRequest as WireSelect } from '../../../proto/generated/holdfast/v1/selection.js';
import { maxTtlSeconds, minTtlSeconds } from '../../domain/binding.js';
import { parseCall } from '../../domain/call.js';
import { invalidArgument } from '../../domain/error.js';
import type { Answer, SelectRequest } from '../../selection/requests.js';
import type { SelectionServiceDeps } from '../deps.js';
import { parseCallOf, parseConstraints, parseFeatures, parseRequestId, parseSetFilter } from '../requests.js';

/** `Select`, also of each request in a `SelectStream`: the relay of a call, bound before or bound now. */
export function select({
  selector,
  observer: { metrics },
}: SelectionServiceDeps): (request: WireSelect) => Answer | Promise<Answer> {
  const counted = (answer: Answer): Answer => {
    metrics.countAnswer(answer.origin, answer.freshness);
    return answer;
  };
  return (request) => {
    const answer = selector.select(parse(request));
    return answer instanceof Promise ? answer.then(counted) : counted(answer);
  };
}

/** Counts and logs a request for which `select` has thrown. */
export function refusal({ refused }: SelectionServiceDeps): (thrown: unknown, request: WireSelect) => void {
  return (thrown, { callId, set }) => refused.addThrown(thrown, { callId, set: set || undefined });
}

function parse(request: WireSelect): SelectRequest {
  return {
    call: parseCallOf(request),
    inDialog: request.inDialog,
    withCall:
      request.withCallId === ''
        ? undefined
        : parseCall(request.withCallId, '', parseSetFilter(request.set), 'with_call_id'),
    requestId: parseRequestId(request.requestId),
    ttlSeconds: parseTtl(request.ttlSeconds),
    constraints: { ...parseConstraints(request), features: parseFeatures(request.features) },
  };
}

function parseTtl(seconds: number): number | undefined {
  if (seconds === 0) {
    return undefined;
  }
  if (seconds >= minTtlSeconds && seconds <= maxTtlSeconds) {
    return seconds;
  }
  const allowed = `${minTtlSeconds}-${maxTtlSeconds}, or 0 for the default`;
  throw invalidArgument('ttl_seconds', `${seconds}`, allowed);
}
