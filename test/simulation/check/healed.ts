import { diedWithoutEtcd, mayLoseCalls } from './disturbance.js';
import type { History, Operation, Violation } from './history.js';
import { beginnings, isFresh, of, stalenessMs, untilPromised, violation, where } from './view.js';

export function noCrash({ crashes }: History): Violation[] {
  return crashes.map(({ atMs, process, error }) => ({
    check: 'no crash',
    atMs,
    callId: '',
    message: `${process}: ${error instanceof Error ? error.stack : String(error)}`,
  }));
}

/** Long after the last fault, every replica lists every relay, as etcd has it. */
export function relaysRegistered({ final, lives, healedMs }: History): Violation[] {
  const expected = [...lives.keys()].sort().join(' ');
  return final
    .filter(({ relays, isFresh: isCurrent }) => relays?.join(' ') !== expected || !isCurrent)
    .map(({ replica, relays, isFresh: isCurrent }) => ({
      check: 'relays registered',
      atMs: healedMs,
      callId: '',
      message: `${replica} lists ${relays?.join(' ') ?? 'nothing'}${isCurrent ? '' : ', from memory'}; there are ${expected}`,
    }));
}

/** A replica without etcd has not heard of a move, and has sent media back to where they had left. */
function wasMisled(operations: readonly Operation[]): boolean {
  let generation = 0;
  return operations.some(({ answer }) => {
    const isOlder = answer?.freshness === 'stale' && answer.generation < generation;
    generation = Math.max(generation, answer?.generation ?? 0);
    return isOlder;
  });
}

/** Whoever has answered for the call lacked etcd, and was killed before it was back: relays alone know of it. */
function isForgotten({ faults, healedMs }: History, operations: readonly Operation[]): boolean {
  const asked = operations.filter(
    ({ outcome, method, invokeMs }) =>
      outcome === 'ok' && method !== 'query' && method !== 'lookup' && invokeMs < healedMs,
  );
  return asked.every(({ replica, invokeMs }) => diedWithoutEtcd(faults, replica, invokeMs));
}

const hasUnansweredMove = (operations: readonly Operation[]) =>
  operations.some(({ method, outcome }) => method === 'move' && outcome === 'unknown');

/** Long after the last fault, calls in progress are found where their media are, by everybody. */
export function liveCalls(history: History): Violation[] {
  const { operations, live, lives, healedMs, settledMs, faults } = history;
  const alive = new Set(
    [...lives.values()].flatMap((all) =>
      all.filter((life) => life.diedMs === Number.POSITIVE_INFINITY).map(({ name }) => name),
    ),
  );
  return live.flatMap(({ callId, media: name }) => {
    const all = operations.filter((each) => each.callId === callId);
    const known = untilPromised(history, all);
    const looks = known.filter(({ invokeMs }) => invokeMs >= settledMs);
    // What came before its last beginning has ended.
    const current = beginnings(history, all).at(-1) ?? [];
    const relay = name.split('.')[0] ?? '';
    const begunMs = all[0]?.invokeMs ?? 0;
    const isHarmed =
      mayLoseCalls(faults, relay, begunMs - stalenessMs, healedMs) || !alive.has(name) || wasMisled(all);
    const before = Math.max(
      0,
      ...current
        .filter(isFresh)
        .filter(({ returnMs }) => returnMs < healedMs)
        .map(({ answer }) => answer.generation),
    );
    return looks.flatMap((look) => {
      if (isFresh(look) && look.answer.generation < before) {
        return [
          violation(
            'order',
            look,
            `${of(look)} says ${where(look)}, and generation ${before} was answered before`,
          ),
        ];
      }
      // What nobody answered may have been carried out later: then the call goes there with its next request.
      const isMoved = isFresh(look) && look.answer.generation > before && hasUnansweredMove(current);
      const isThere = isFresh(look) && look.answer.relay === relay && look.carriers.includes(name);
      const isRight = isThere || isMoved || (isFresh(look) && isHarmed);
      // A lookup asks no relay; the request within the call that follows it does.
      const mayBeUnknown = isHarmed || isForgotten(history, current);
      const isLost = look.method === 'lookup' && mayBeUnknown && look.reason?.startsWith('NOT_FOUND');
      return isRight || isLost
        ? []
        : [
            violation(
              'live calls',
              look,
              `in progress on ${name}, and ${of(look)} says ${look.outcome} ${look.reason ?? ''}${look.answer ? `${look.answer.freshness} ${look.answer.relay}` : ''}, carried by ${look.carriers.join(', ') || 'nobody'}`,
            ),
          ];
    });
  });
}
