import type { Violation } from './history.js';
import type { Answered } from './view.js';
import { isFresh, of, type Rule, stalenessMs, violation, where } from './view.js';

/**
 * A binding is a register whose versions are numbered: the generation. A history of such a register is linearizable exactly if
 * each version has one value, and no operation that begins after another has ended sees an older version (Gibbons and Korach,
 * "Testing shared memories"). `agreement` is the first half, `order` the second.
 */
export const agreement: Rule = (_, operations) => {
  const values = new Map<number, Answered>();
  return operations.filter(isFresh).flatMap((operation) => {
    const { generation, relay, instance } = operation.answer;
    const first = values.get(generation) ?? operation;
    values.set(generation, first);
    return first.answer.relay === relay && first.answer.instance === instance
      ? []
      : [
          violation(
            'agreement',
            operation,
            `${of(first)} said ${where(first)}, ${of(operation)} ${where(operation)}`,
          ),
        ];
  });
};

/** Reads may be behind for as long as a replica cannot know that it is cut off; what one life has said it keeps to. */
export const order: Rule = (_, operations) => {
  const fresh = operations.filter(isFresh);
  const violations: Violation[] = [];
  for (const later of fresh) {
    const older = fresh.find((earlier) => {
      const isSame = earlier.replica === later.replica && earlier.life === later.life;
      const afterMs = isSame || later.method === 'move' ? 0 : stalenessMs;
      return (
        earlier.returnMs + afterMs < later.invokeMs && earlier.answer.generation > later.answer.generation
      );
    });
    if (older) {
      violations.push(
        violation('order', later, `${of(later)} said ${where(later)} after ${of(older)} ${where(older)}`),
      );
    }
  }
  return violations;
};

/** Of two requests that name one generation, one moves the call. */
export const movesOnce: Rule = (_, operations) => {
  const done = operations.filter((each): each is Answered => each.method === 'move' && isFresh(each));
  return done.flatMap((operation) => {
    const { generation = 0, requestId } = operation;
    if (operation.answer.generation !== generation + 1) {
      return [
        violation(
          'moves once',
          operation,
          `${of(operation)} of generation ${generation} made ${where(operation)}`,
        ),
      ];
    }
    const other = done.find((each) => each.generation === generation && each.requestId !== requestId);
    return other
      ? [violation('moves once', operation, `${of(other)} and ${of(operation)} both moved it`)]
      : [];
  });
};

/** A call that was begun again after its release is not a released one. */
export const released: Rule = (_, operations) =>
  operations.flatMap((operation) =>
    operation.method === 'select' && !operation.inDialog && isFresh(operation) && operation.answer.released
      ? [violation('released', operation, `${of(operation)} begins the call, and is answered with its end`)]
      : [],
  );
