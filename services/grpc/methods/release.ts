import type { ReleaseRequest, ReleaseResponse } from '../../../proto/generated/holdfast/v1/selection.js';
import type { SelectionServiceDeps } from '../deps.js';
import { parseCallOf } from '../requests.js';

/** `Release`: the call has ended. */
export function release({
  selector,
}: SelectionServiceDeps): (request: ReleaseRequest) => Promise<ReleaseResponse> {
  return async (request) => ({ found: await selector.release(parseCallOf(request)) });
}
