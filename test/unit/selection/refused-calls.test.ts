import test from 'ava';
import { HoldfastError, invalidArgument } from '../../../services/domain/error.js';
import { noMetrics } from '../../../services/selection/front-metrics.js';
import { RefusedCalls } from '../../../services/selection/refused-calls.js';
import { ManualClock } from '../../support/clock.js';
import { openLog } from '../../support/replica.js';

function scene() {
  const clock = new ManualClock();
  const { log, lines } = openLog();
  const counted: string[] = [];
  const metrics = { ...noMetrics, countRefusal: (cause: string) => void counted.push(cause) };
  return { clock, lines, counted, refused: new RefusedCalls({ metrics, clock, log }) };
}

test('every refused call is counted, and a storm of them takes a line a second for each cause', (t) => {
  const { clock, lines, counted, refused } = scene();
  for (let i = 0; i < 1000; i++) {
    refused.add('no-relay', { callId: `call-${i}` });
  }
  refused.add('relay-full', { callId: 'other' });
  t.is(counted.length, 1001);
  t.deepEqual(
    lines.map(({ cause, callId }) => [cause, callId]),
    [
      ['no-relay', 'call-0'],
      ['relay-full', 'other'],
    ],
  );
  clock.advance(1000);
  refused.add('no-relay', { callId: 'later' });
  t.like(lines.at(-1), { msg: 'call refused', callId: 'later', leftOut: 999, level: 40 });
});

test('calls that are refused because etcd is away are counted; the outage has its line already', (t) => {
  const { lines, counted, refused } = scene();
  refused.addThrown(new HoldfastError('unavailable', 'etcd is out of reach'), {});
  t.deepEqual(counted, ['unavailable']);
  t.deepEqual(lines, []);
});

test('what the selector throws is a cause by its code; a malformed request is no refused call', (t) => {
  const { lines, counted, refused } = scene();
  refused.addThrown(new HoldfastError('relays-full', 'all are full'), { callId: 'a' });
  refused.addThrown(new Error('a defect'), { callId: 'b' });
  refused.addThrown(invalidArgument('call_id', 'is empty', '1 byte'), { callId: '' });
  t.deepEqual(counted, ['relays-full', 'internal']);
  t.like(lines[0], { cause: 'relays-full', callId: 'a', reason: 'all are full' });
});
