import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import {
  type LookupRequest,
  type MoveRequest,
  type MoveResponse,
  type ReleaseResponse,
  SelectionServiceService,
  type SelectRequest,
} from '../../proto/generated/holdfast/v1/selection.js';
import { HoldfastError } from '../domain/error.js';
import type { Answer } from '../selection/requests.js';
import type { Selector } from '../selection/selector.js';
import { AnswerBytes } from './answer-bytes.js';
import { type Observer, unary } from './observed.js';
import { bindingMessage } from './replies.js';
import { parseCallOf, parseMove, parseSelect } from './requests.js';
import { serveSelectStream } from './select-stream.js';

export interface ServedService {
  readonly definition: ServiceDefinition;
  readonly methods: UntypedServiceImplementation;
}

/** `holdfast.v1.SelectionService`: messages in, the selector asked, bytes out. */
export function selectionService(selector: Selector, observer: Observer): ServedService {
  const bytes = new AnswerBytes();
  const responseSerialize = (answer: Answer) => bytes.answer(answer);
  const select = (request: SelectRequest): Answer | Promise<Answer> =>
    counted(selector.select(parseSelect(request)));
  const counted = (answer: Answer | Promise<Answer>): Answer | Promise<Answer> => {
    if (answer instanceof Promise) {
      return answer.then(counted);
    }
    observer.metrics.countAnswer(answer.origin, answer.freshness);
    return answer;
  };
  const { select: selectMethod, selectStream, lookup } = SelectionServiceService;
  return {
    definition: {
      ...SelectionServiceService,
      select: { ...selectMethod, responseSerialize },
      selectStream: { ...selectStream, responseSerialize: (answer: Buffer) => answer },
      lookup: { ...lookup, responseSerialize },
    },
    methods: {
      select: unary<SelectRequest, Answer>('Select', observer, select),
      selectStream: serveSelectStream(select, bytes, observer),
      lookup: unary<LookupRequest, Answer>('Lookup', observer, async (request) => {
        const call = parseCallOf(request);
        const answer = await selector.lookup(call);
        if (!answer) {
          throw new HoldfastError('not-found', `call ${call.callId} has no binding`);
        }
        return answer;
      }),
      move: unary<MoveRequest, MoveResponse>('Move', observer, async (request) => {
        const { binding, relay } = await selector.move(parseMove(request));
        return { binding: bindingMessage(binding, relay) };
      }),
      release: unary<LookupRequest, ReleaseResponse>('Release', observer, async (request) => ({
        found: await selector.release(parseCallOf(request)),
      })),
    },
  };
}
