import type { LookupRequest } from '../../../proto/generated/holdfast/v1/selection.js';
import { HoldfastError } from '../../domain/error.js';
import type { Answer } from '../../selection/requests.js';
import type { SelectionServiceDeps } from '../deps.js';
import { parseCallOf } from '../requests.js';

/** `Lookup`: the relay of a call, if it is bound. */
export function lookup({ selector }: SelectionServiceDeps): (request: LookupRequest) => Promise<Answer> {
  return async (request) => {
    const call = parseCallOf(request);
    const answer = await selector.lookup(call, { current: request.current });
    if (!answer) {
      throw new HoldfastError('not-found', `call ${call.callId} has no binding`);
    }
    return answer;
  };
}
