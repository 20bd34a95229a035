import type { handleBidiStreamingCall } from '@grpc/grpc-js';
import {
  type SelectStreamRequest,
  SelectStreamResponse,
} from '../../../proto/generated/holdfast/v1/selection.js';
import { invalidArgument } from '../../domain/error.js';
import { inTrace, traceIdOf } from '../../runtime/trace.js';
import type { Answer } from '../../selection/requests.js';
import type { SelectionServiceDeps } from '../deps.js';
import { type Outcome, observe } from '../observe.js';
import { type Failure, streamedError } from '../status.js';
import { StreamWriter } from '../stream-writer.js';
import { refusal, select } from './select.js';

/** Requests of one stream in progress at once. At the limit the stream is not read, so that the client waits. */
const maxInProgress = 1024;
/** The same for all streams together: as many as there are single requests at most. */
const maxInProgressOfAll = 2048;
/** Replies of one stream that wait because the client does not read: then its requests are not read either. */
const maxUnread = 64;

/** `SelectStream`: replies to each request when its answer is ready; an error is the reply to its own request only. */
export function selectStream(
  deps: SelectionServiceDeps,
): handleBidiStreamingCall<SelectStreamRequest, Buffer> {
  const { observer, bytes } = deps;
  const answerOf = select(deps);
  const refuse = refusal(deps);
  let inProgressOfAll = 0;
  /** Streams that are not read until others have had their replies; the one that has waited longest comes first. */
  const waiting = new Set<() => void>();
  return (stream) => {
    const writer = new StreamWriter<Buffer>(stream);
    const traceId = traceIdOf(stream.metadata.get('traceparent')[0]);
    let inProgress = 0;
    let unread = 0;
    let ended = false;
    const goOn = () => {
      waiting.delete(goOn);
      if (inProgress < maxInProgress && unread < maxUnread && stream.isPaused()) {
        stream.resume();
      }
    };
    const endIfIdle = () => {
      if (ended && inProgress === 0) {
        stream.end();
      }
    };
    const finish = () => {
      inProgress--;
      inProgressOfAll--;
      const [longest] = waiting;
      if (!waiting.has(goOn)) {
        goOn();
      }
      longest?.();
      endIfIdle();
    };
    const reply = (requestId: string, outcome: Outcome<Answer>) => {
      const message =
        'failure' in outcome
          ? errorBytes(requestId, outcome.failure)
          : bytes.streamed(requestId, outcome.value);
      const written = writer.write(message);
      if (written) {
        if (++unread >= maxUnread) {
          stream.pause();
        }
        void written.then(() => {
          unread--;
          finish();
        });
      } else {
        finish();
      }
    };
    stream.on('data', ({ request }: SelectStreamRequest) => {
      if (++inProgress >= maxInProgress) {
        stream.pause();
      }
      if (++inProgressOfAll >= maxInProgressOfAll) {
        stream.pause();
        waiting.add(goOn);
      }
      const requestId = request?.requestId ?? '';
      const outcome = inTrace(traceId, () =>
        observe(
          'SelectStream',
          observer,
          () => {
            if (!request || requestId === '') {
              const allowed = '1-64 bytes of visible ASCII: the reply is matched by it';
              throw invalidArgument('request.request_id', 'is empty', allowed);
            }
            return answerOf(request);
          },
          (thrown) => request && refuse(thrown, request),
          request,
        ),
      );
      if (outcome instanceof Promise) {
        void outcome.then((later) => reply(requestId, later));
      } else {
        reply(requestId, outcome);
      }
    });
    stream.on('end', () => {
      ended = true;
      endIfIdle();
    });
    stream.on('close', () => waiting.delete(goOn));
    // A client may leave at any time; its requests in progress finish without it.
    stream.on('error', (error) => observer.log.debug({ err: error }, 'select stream broken'));
  };
}

function errorBytes(requestId: string, failure: Failure): Buffer {
  const result = { $case: 'error', value: streamedError(failure) } as const;
  return Buffer.from(SelectStreamResponse.encode({ requestId, result }).finish());
}
