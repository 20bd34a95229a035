import { testWith } from '../support/requirement.js';
import { drainedWithCalls } from './gateway-drained.js';
import { programs, rtpproxyPrograms, threeRtpproxies } from './gateway-scene.js';

testWith.serial(programs, 'a relay is drained with 100 calls in progress', (t) => drainedWithCalls(t));

testWith.serial(rtpproxyPrograms, 'rtpproxy: a relay is drained with 100 calls in progress', (t) =>
  drainedWithCalls(t, { protocol: 'rtpproxy', relays: threeRtpproxies }),
);
