import { mayLackEtcdAnywhere, mayLoseCalls } from './disturbance.js';
import type { Operation, Violation } from './history.js';
import {
  answers,
  beginnings,
  ends,
  of,
  type Rule,
  relayOf,
  stalenessMs,
  untilPromised,
  violation,
} from './view.js';

/** A call in progress stays on its relay, unless that is gone or somebody moves it. */
export const stickiness: Rule = (history, operations) =>
  beginnings(history, untilPromised(history, operations)).flatMap((life) => {
    const { faults } = history;
    const violations: Violation[] = [];
    const answered = life.find(answers);
    let last: Operation | undefined;
    for (const operation of life) {
      const relay = relayOf(operation);
      if (
        !answered ||
        operation.invokeMs < answered.returnMs ||
        operation.outcome !== 'ok' ||
        relay === undefined
      ) {
        continue;
      }
      const before = last;
      // An older generation is what a replica remembers that has not heard of the move yet: how long it may, `order` says.
      if ((operation.answer?.generation ?? 0) < (before?.answer?.generation ?? 0)) {
        continue;
      }
      last = operation;
      const from = before && relayOf(before);
      if (!before || from === relay || from === undefined) {
        continue;
      }
      const fromMs = before.invokeMs - stalenessMs;
      const isMoved = life.some(({ method, invokeMs }) => method === 'move' && invokeMs < operation.returnMs);
      // What the answer of the relay wrote may not be known everywhere yet.
      const isKnown =
        before.returnMs > answered.returnMs &&
        !mayLackEtcdAnywhere(faults, answered.invokeMs - stalenessMs, answered.returnMs + 3000);
      if (!isMoved && isKnown && !mayLoseCalls(faults, from, fromMs, operation.returnMs)) {
        violations.push(
          violation(
            'stickiness',
            operation,
            `in progress on ${from}, which is well, and ${of(operation)} went to ${relay}`,
          ),
        );
      }
    }
    return violations;
  });

/** Where a fresh answer sends a call in progress, it is carried, if it is carried anywhere. */
export const media: Rule = (history, operations) =>
  beginnings(history, untilPromised(history, operations)).flatMap((life) => {
    const { faults } = history;
    const answered = life.find(answers);
    return life.flatMap((operation) => {
      const { outcome, carriers, invokeMs, returnMs } = operation;
      const relay = relayOf(operation);
      const isInProgress = answered && answered.returnMs < invokeMs && operation.inDialog;
      const isOver = life.some((each) => ends.has(each.method) && each.invokeMs < returnMs);
      const isMoved = life.some(({ method }) => method === 'move');
      if (
        !isInProgress ||
        isOver ||
        isMoved ||
        outcome !== 'ok' ||
        relay === undefined ||
        carriers.length === 0
      ) {
        return [];
      }
      const isThere = carriers.some((life) => life.startsWith(`${relay}.`));
      const isExcused = [relay, ...carriers.map((life) => life.split('.')[0] ?? '')].some((each) =>
        mayLoseCalls(faults, each, (answered?.invokeMs ?? 0) - stalenessMs, returnMs),
      );
      return isThere || isExcused
        ? []
        : [
            violation(
              'media',
              operation,
              `${of(operation)} says ${relay}, and ${carriers.join(', ')} has the call`,
            ),
          ];
    });
  });

/** A relay does not lose a call in progress: somebody must have ended it there. */
export const kept: Rule = (history, operations) =>
  beginnings(history, untilPromised(history, operations)).flatMap((life) => {
    const answered = life.find(answers);
    const end = life.find(({ method }) => ends.has(method));
    return life.flatMap((operation) => {
      const { media: at, reason, invokeMs, returnMs, method } = operation;
      const isAsked = method === 'query' && reason === 'Unknown call-id' && at !== undefined;
      const isInProgress = answered && answered.returnMs < invokeMs && !(end && end.invokeMs < returnMs);
      if (!isAsked || !isInProgress) {
        return [];
      }
      const before = life.findLast((each) => each.returnMs < invokeMs && each.outcome === 'ok' && each.media);
      const fromMs = answered.invokeMs - stalenessMs;
      const isExcused = [at, before?.media ?? at].some((name) =>
        mayLoseCalls(history.faults, name.split('.')[0] ?? '', fromMs, returnMs),
      );
      // The very process that has just carried it, and nobody can have moved the call meanwhile.
      const isSame =
        before?.media === at &&
        !life.some((each) => each.outcome === 'unknown' && each.returnMs >= before.invokeMs - stalenessMs);
      return isExcused && !isSame
        ? []
        : [
            violation(
              'media',
              operation,
              `in progress on ${before?.media ?? at}, and ${at} does not know it any more`,
            ),
          ];
    });
  });
