import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import {
  type LookupRequest,
  SelectionServiceService,
  type SelectRequest,
} from '../../proto/generated/holdfast/v1/selection.js';
import { RefusedCalls } from '../selection/refused-calls.js';
import type { Answer } from '../selection/requests.js';
import type { Selector } from '../selection/selector.js';
import { AnswerBytes } from './answer-bytes.js';
import type { SelectionServiceDeps } from './deps.js';
import { lookup } from './methods/lookup.js';
import { move } from './methods/move.js';
import { release } from './methods/release.js';
import { refusal, select } from './methods/select.js';
import { selectStream } from './methods/select-stream.js';
import { type Observer, unary } from './observe.js';

export interface ServedService {
  readonly definition: ServiceDefinition;
  readonly methods: UntypedServiceImplementation;
}

/** `holdfast.v1.SelectionService`. Answers are encoded by `AnswerBytes`, not by the generated code. */
export function selectionService(selector: Selector, observer: Observer): ServedService {
  const bytes = new AnswerBytes();
  const refused = new RefusedCalls(observer);
  const deps: SelectionServiceDeps = { selector, observer, bytes, refused };
  const responseSerialize = (answer: Answer) => bytes.answer(answer);
  const service = SelectionServiceService;
  return {
    definition: {
      ...service,
      select: { ...service.select, responseSerialize },
      selectStream: { ...service.selectStream, responseSerialize: (answer: Buffer) => answer },
      lookup: { ...service.lookup, responseSerialize },
    },
    methods: {
      select: unary<SelectRequest, Answer>('Select', observer, select(deps), refusal(deps)),
      selectStream: selectStream(deps),
      lookup: unary<LookupRequest, Answer>('Lookup', observer, lookup(deps)),
      move: unary('Move', observer, move(deps)),
      release: unary('Release', observer, release(deps)),
    },
  };
}
