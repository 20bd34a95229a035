import { liveCalls, noCrash, relaysRegistered } from './healed.js';
import type { History, Operation, Violation } from './history.js';
import { kept, media, stickiness } from './places.js';
import { remembered, service } from './service.js';
import { agreement, movesOnce, order, released } from './versions.js';
import { beginnings, untilPromised } from './view.js';

const rules = [noCrash, relaysRegistered, liveCalls];
const rulesOfCalls = [stickiness, media, kept, released, remembered, service];
/** Of a call that has ended nothing need be left: what begins after it has generations of its own. */
const rulesOfBeginnings = [agreement, order, movesOnce];

/** All that a history violates, in order of time. */
export function check(history: History): Violation[] {
  const calls = new Map<string, Operation[]>();
  for (const operation of [...history.operations].sort((a, b) => a.invokeMs - b.invokeMs)) {
    const known = calls.get(operation.callId) ?? [];
    calls.set(operation.callId, known);
    known.push(operation);
  }
  return [
    ...rules.flatMap((rule) => rule(history)),
    ...[...calls.values()].flatMap((operations) => [
      ...rulesOfCalls.flatMap((rule) => rule(history, operations)),
      ...beginnings(history, untilPromised(history, operations)).flatMap((life) =>
        rulesOfBeginnings.flatMap((rule) => rule(history, life)),
      ),
    ]),
  ].sort((a, b) => a.atMs - b.atMs);
}
