import type {
  MoveResponse,
  MoveRequest as WireMove,
} from '../../../proto/generated/holdfast/v1/selection.js';
import { maxGeneration } from '../../domain/binding.js';
import { invalidArgument } from '../../domain/error.js';
import { parseName } from '../../domain/name.js';
import type { MoveRequest } from '../../selection/requests.js';
import { actorOf } from '../actor.js';
import type { Caller } from '../certificate-names.js';
import type { SelectionServiceDeps } from '../deps.js';
import { bindingMessage } from '../replies.js';
import { maxTextLength, parseCallOf, parseConstraints, parseRequestId, parseText } from '../requests.js';

/** `Move`: binds a call to another relay. */
export function move({
  selector,
}: SelectionServiceDeps): (request: WireMove, caller: Caller) => Promise<MoveResponse> {
  return async (request, caller) => {
    const { binding, relay } = await selector.move(
      parse(request, actorOf(request.actor, caller) || 'client'),
    );
    return { binding: bindingMessage(binding, relay) };
  };
}

function parse(request: WireMove, by: string): MoveRequest {
  const { generation, reason, targetRelayId } = request;
  if (generation < 1n || generation > BigInt(maxGeneration)) {
    throw invalidArgument('generation', `${generation}`, `1-${maxGeneration}, the one to replace`);
  }
  if (reason === '') {
    throw invalidArgument('reason', 'is empty', `1-${maxTextLength} characters`);
  }
  return {
    call: parseCallOf(request),
    generation: Number(generation),
    reason: parseText('reason', reason, maxTextLength),
    by,
    requestId: parseRequestId(request.requestId),
    constraints: {
      ...parseConstraints(request),
      target: targetRelayId === '' ? undefined : parseName('target_relay_id', targetRelayId),
    },
  };
}
