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
  ['14 UNAVAILABLE: etcdserver: no leader', '14 UNAVAILABLE: etcdserver: no leader'],
  ['its space is exhausted', 'its space is exhausted'],
] as const) {
  test(`the reason of "${message.slice(0, 60)} …" is told alone`, (t) => {
    t.is(reasonOf(new Error(message)), reason);
  });
}
