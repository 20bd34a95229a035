import type { ServerDuplexStream } from '@grpc/grpc-js';
import type {
  SelectRequest,
  SelectResponse,
  SelectStreamRequest,
  SelectStreamResponse,
} from '../../proto/generated/holdfast/v1/selection.js';
import { invalidArgument } from '../domain/error.js';
import { type Observer, observe } from './observed.js';
import { Outlet } from './outlet.js';

type Stream = ServerDuplexStream<SelectStreamRequest, SelectStreamResponse>;

/** Requests of one stream that may be under way at once; beyond it the stream is not read, so the client waits. */
const maxUnderWay = 1024;

/** Answers each request of the stream when it is ready; a bad one costs its own answer only. */
export function serveSelectStream(
  stream: Stream,
  select: (request: SelectRequest) => Promise<SelectResponse>,
  observer: Observer,
): void {
  const outlet = new Outlet<SelectStreamResponse>(stream);
  let underWay = 0;
  let ended = false;
  const endIfIdle = () => {
    if (ended && underWay === 0) stream.end();
  };
  stream.on('data', async ({ request }: SelectStreamRequest) => {
    if (++underWay >= maxUnderWay) stream.pause();
    const requestId = request?.requestId ?? '';
    const outcome = await observe('SelectStream', observer, async () => {
      if (!request || requestId === '')
        throw invalidArgument(
          'request.request_id',
          'is empty',
          '1-64 bytes of visible ASCII: the reply is told by it',
        );
      return select(request);
    });
    const result: SelectStreamResponse['result'] =
      'error' in outcome
        ? { $case: 'error', value: { code: outcome.error.code, message: outcome.error.details } }
        : { $case: 'response', value: outcome.value };
    await outlet.write({ requestId, result });
    if (--underWay < maxUnderWay && stream.isPaused()) stream.resume();
    endIfIdle();
  });
  stream.on('end', () => {
    ended = true;
    endIfIdle();
  });
  // A client that goes away is no error of ours; the requests under way finish by themselves.
  stream.on('error', (error) => observer.log.debug({ err: error }, 'select stream broken'));
}
