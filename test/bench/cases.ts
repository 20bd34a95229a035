import type { BenchCase } from './bench-case.js';
import { allocation } from './cases/allocation.js';
import { balance } from './cases/balance.js';
import { cache } from './cases/cache.js';
import { callLife } from './cases/call-life.js';
import { coldStart } from './cases/cold-start.js';
import { detection } from './cases/detection.js';
import { existingCallsStream, existingCallsUnary } from './cases/existing-calls.js';
import { forwarding } from './cases/forwarding.js';
import { gateway } from './cases/gateway.js';
import { growthBindings } from './cases/growth-bindings.js';
import { growthRate } from './cases/growth-rate.js';
import { growthRelays } from './cases/growth-relays.js';
import { growthReplicas } from './cases/growth-replicas.js';
import { latencyAlone, latencyAtHalf } from './cases/latency.js';
import { manyBindings } from './cases/many-bindings.js';
import { members } from './cases/members.js';
import { memory } from './cases/memory.js';
import { newCallsStream, newCallsUnary } from './cases/new-calls.js';
import { placement } from './cases/placement.js';
import { relayLost } from './cases/relay-lost.js';
import { rtpproxy } from './cases/rtpproxy.js';
import { sip } from './cases/sip.js';
import { youngGeneration } from './cases/young-generation.js';

/** In the order in which they run. */
export const cases: readonly BenchCase[] = [
  newCallsStream,
  newCallsUnary,
  members,
  existingCallsUnary,
  existingCallsStream,
  latencyAlone,
  latencyAtHalf,
  manyBindings,
  memory,
  cache,
  coldStart,
  placement,
  balance,
  relayLost,
  callLife,
  detection,
  gateway,
  allocation,
  youngGeneration,
  sip,
  rtpproxy,
  forwarding,
  growthRelays,
  growthBindings,
  growthReplicas,
  growthRate,
];
