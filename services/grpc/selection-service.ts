import type {
  SelectionServiceServer,
  SelectRequest,
  SelectResponse,
} from '../../proto/generated/holdfast/v1/selection.js';
import { HoldfastError } from '../domain/error.js';
import type { Selector } from '../selection/selector.js';
import { type Observer, unary } from './observed.js';
import { answerMessage, bindingMessage } from './replies.js';
import { parseCallOf, parseMove, parseSelect } from './requests.js';
import { serveSelectStream } from './select-stream.js';

/** `holdfast.v1.SelectionService`: messages in, the selector asked, messages out. */
export function selectionService(selector: Selector, observer: Observer): SelectionServiceServer {
  const select = async (request: SelectRequest): Promise<SelectResponse> => {
    const answer = await selector.select(parseSelect(request));
    observer.metrics.countAnswer(answer.origin, answer.freshness);
    return answerMessage(answer);
  };
  return {
    select: unary('Select', observer, select),
    selectStream: (stream) => serveSelectStream(stream, select, observer),
    lookup: unary('Lookup', observer, async (request) => {
      const call = parseCallOf(request);
      const answer = await selector.lookup(call);
      if (!answer) throw new HoldfastError('not-found', `call ${call.callId} has no binding`);
      return answerMessage(answer);
    }),
    move: unary('Move', observer, async (request) => {
      const { binding, relay } = await selector.move(parseMove(request));
      return { binding: bindingMessage(binding, relay) };
    }),
    release: unary('Release', observer, async (request) => ({
      found: await selector.release(parseCallOf(request)),
    })),
  };
}
