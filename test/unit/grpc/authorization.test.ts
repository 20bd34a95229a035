import { type ServerInterceptingCallInterface, status } from '@grpc/grpc-js';
import test from 'ava';
import { Authorization } from '../../../services/grpc/authorization.js';
import { noMetrics } from '../../../services/selection/front-metrics.js';
import { ManualClock } from '../../support/clock.js';
import { openLog } from '../../support/replica.js';

test('a method that is not listed is refused, and floods of refusals do not fill the log', (t) => {
  const { log, lines } = openLog();
  const clock = new ManualClock();
  const names = { select: undefined, administer: ['operator'] };
  const { interceptor } = new Authorization({ names, metrics: noMetrics, clock, log });
  const ask = (path: string): { code?: status } => {
    let sent = {};
    let passed = false;
    const call = {
      getConnectionInfo: () => ({ remoteAddress: '192.0.2.1', remotePort: 5060 }),
      sendStatus: (each: object) => {
        sent = each;
      },
      // A refusal is made when the metadata arrive.
      start: (listener: { onReceiveMetadata(metadata: unknown): void }) => listener.onReceiveMetadata({}),
    };
    const next = {
      onReceiveMetadata: (_: unknown) => {
        passed = true;
      },
      onReceiveMessage: () => {},
      onReceiveHalfClose: () => {},
      onCancel: () => {},
    };
    const definition = { path } as Parameters<typeof interceptor>[0];
    interceptor(definition, call as unknown as ServerInterceptingCallInterface).start(next);
    t.is(passed, !('code' in sent), path);
    return sent;
  };
  t.is(ask('/holdfast.v1.SelectionService/Select').code, undefined);
  for (let i = 0; i < 100; i++) {
    t.is(ask('/holdfast.v1.SelectionService/Forgotten').code, status.PERMISSION_DENIED);
  }
  t.is(ask('/holdfast.v1.RelayService/SetIntent').code, status.PERMISSION_DENIED);
  t.is(lines.length, 1);
  clock.advance(1000);
  ask('/holdfast.v1.SelectionService/Forgotten');
  t.is(lines[1]?.['leftOut'], 100);
});
