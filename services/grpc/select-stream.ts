import type { handleBidiStreamingCall } from '@grpc/grpc-js';
import {
  type SelectRequest,
  type SelectStreamRequest,
  SelectStreamResponse,
} from '../../proto/generated/holdfast/v1/selection.js';
import { invalidArgument } from '../domain/error.js';
import type { Answer } from '../selection/requests.js';
import type { AnswerBytes } from './answer-bytes.js';
import { type Observer, type Outcome, observe } from './observed.js';
import { StreamWriter } from './stream-writer.js';

/** Requests of one stream that may be under way at once; beyond it the stream is not read, so the client waits. */
const maxUnderWay = 1024;

/** Answers each request of the stream when it is ready; a bad one costs its own answer only. */
export function serveSelectStream(
  select: (request: SelectRequest) => Answer | Promise<Answer>,
  bytes: AnswerBytes,
  observer: Observer,
): handleBidiStreamingCall<SelectStreamRequest, Buffer> {
  return (stream) => {
    const writer = new StreamWriter<Buffer>(stream);
    let underWay = 0;
    let ended = false;
    const endIfIdle = () => {
      if (ended && underWay === 0) {
        stream.end();
      }
    };
    const finish = () => {
      if (--underWay < maxUnderWay && stream.isPaused()) {
        stream.resume();
      }
      endIfIdle();
    };
    const answer = (requestId: string, outcome: Outcome<Answer>) => {
      const message =
        'error' in outcome
          ? errorBytes(requestId, outcome.error.code, outcome.error.details)
          : bytes.streamed(requestId, outcome.value);
      const written = writer.write(message);
      if (written) {
        void written.then(finish);
      } else {
        finish();
      }
    };
    stream.on('data', ({ request }: SelectStreamRequest) => {
      if (++underWay >= maxUnderWay) {
        stream.pause();
      }
      const requestId = request?.requestId ?? '';
      const outcome = observe('SelectStream', observer, () => {
        if (!request || requestId === '') {
          throw invalidArgument(
            'request.request_id',
            'is empty',
            '1-64 bytes of visible ASCII: the reply is told by it',
          );
        }
        return select(request);
      });
      if (outcome instanceof Promise) {
        void outcome.then((later) => answer(requestId, later));
      } else {
        answer(requestId, outcome);
      }
    });
    stream.on('end', () => {
      ended = true;
      endIfIdle();
    });
    // A client that goes away is no error of ours; the requests under way finish by themselves.
    stream.on('error', (error) => observer.log.debug({ err: error }, 'select stream broken'));
  };
}

function errorBytes(requestId: string, code: number, message: string): Buffer {
  const result = { $case: 'error', value: { code, message } } as const;
  return Buffer.from(SelectStreamResponse.encode({ requestId, result }).finish());
}
