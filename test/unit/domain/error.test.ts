import test from 'ava';
import { reasonOf } from '../../../services/domain/error.js';

for (const [message, reason] of [
  [
    '14 UNAVAILABLE: No connection established. Last error: Error: connect ECONNREFUSED 127.0.0.1:2379',
    'connect ECONNREFUSED 127.0.0.1:2379',
  ],
  [
    'round_robin: No connection established. Last error: No connection established. Last error: Error: connect ECONNREFUSED 127.0.0.1:1',
    'connect ECONNREFUSED 127.0.0.1:1',
  ],
  ['No connection established. Last error: connect ETIMEDOUT. Resolution note: ', 'connect ETIMEDOUT'],
  [
    '4 DEADLINE_EXCEEDED: Deadline exceeded after 0.735s,LB pick: 0.622s,remote_addr=127.0.0.1:2379',
    'no answer from 127.0.0.1:2379 within 0.735 s',
  ],
  ['4 DEADLINE_EXCEEDED: Deadline exceeded after 1.5s,name resolution: 0.1s', 'no answer within 1.5 s'],
  ['14 UNAVAILABLE: etcdserver: no leader', '14 UNAVAILABLE: etcdserver: no leader'],
  ['its space is exhausted', 'its space is exhausted'],
] as const) {
  test(`the reason of "${message.slice(0, 60)} …" is told alone`, (t) => {
    t.is(reasonOf(new Error(message)), reason);
  });
}
