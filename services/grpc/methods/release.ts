import type { ReleaseRequest, ReleaseResponse } from '../../../proto/generated/holdfast/v1/selection.js';
import type { SelectionServiceDeps } from '../deps.js';
import { parseBeginning, parseCallOf } from '../requests.js';

/** `Release`: the call has ended, or the one of its beginnings that the request names. */
export function release({
  selector,
}: SelectionServiceDeps): (request: ReleaseRequest) => Promise<ReleaseResponse> {
  return async (request) => {
    const call = parseCallOf(request);
    const beginning = parseBeginning(request.beginning);
    return { found: await selector.release(call, beginning === undefined ? undefined : { beginning }) };
  };
}
