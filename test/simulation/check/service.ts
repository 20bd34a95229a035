import { isQuiet, mayLoseCalls, promisedTo } from './disturbance.js';
import { ends, isFresh, of, type Rule, violation, where } from './view.js';

/** New calls, or those that are in progress: what is promised is kept. */
export const service: Rule = ({ faults, withoutQuorum }, operations) => {
  const begun = operations.find(({ outcome, method }) => outcome === 'ok' && !ends.has(method));
  return operations.flatMap((operation) => {
    const { replica, invokeMs, returnMs, outcome, answer, method, reason } = operation;
    if (method !== 'select' && method !== 'offer' && method !== 'reoffer' && method !== 'answer') {
      return [];
    }
    const promised = promisedTo(faults, replica, invokeMs - 1000, returnMs);
    const saw = `${outcome} ${answer?.freshness ?? ''} ${reason ?? ''}`;
    // Of a call that could not be begun nothing is promised.
    const isOwed =
      begun && begun.returnMs < invokeMs ? isQuiet(faults, begun.invokeMs, returnMs) : !operation.inDialog;
    const isFailed = outcome !== 'ok' && isOwed;
    if (promised === 'fresh' && (isFailed || (answer && answer.freshness !== 'fresh'))) {
      return [violation('service', operation, `${of(operation)} ended as ${saw} with etcd and relays well`)];
    }
    const isNew = !operation.inDialog && !begun;
    if (promised === 'answered' && withoutQuorum === 'available' && isNew && outcome !== 'ok') {
      return [
        violation('service', operation, `${of(operation)} ended as ${saw} where it should be provisional`),
      ];
    }
    return [];
  });
};

/** What was answered so long before etcd went away was in use: its time did not run out before. */
const inUseMs = 8000;

/** While etcd is away, a replica that knows a call does not promise it another relay. */
export const remembered: Rule = ({ faults }, operations) =>
  operations.flatMap((operation, at) => {
    const { answer, replica, life, invokeMs, returnMs } = operation;
    if (answer?.freshness !== 'provisional') {
      return [];
    }
    const before = operations.slice(0, at);
    const known = before.filter(isFresh).at(-1);
    // Other faults that last as long say nothing of when etcd went away.
    const outage = faults.find(
      ({ touches, promised, beginMs, endMs }) =>
        promised === 'answered' &&
        (touches.includes('etcd') || touches.includes(replica)) &&
        beginMs < invokeMs &&
        endMs > returnMs,
    );
    const isKnown =
      known &&
      outage &&
      known.replica === replica &&
      known.life === life &&
      known.returnMs > outage.beginMs - inUseMs;
    // Where its memory had ended, by a clock that was set, it has asked the relays.
    const isThere = known?.answer.relay === answer.relay && known.answer.instance === answer.instance;
    const isOver = before.some(({ method }) => ends.has(method));
    const mayBeGone = known && mayLoseCalls(faults, known.answer.relay, known.invokeMs, returnMs);
    return isKnown && !isThere && !isOver && !mayBeGone
      ? [
          violation(
            'remembered',
            operation,
            `${of(known)} said ${where(known)}, and ${of(operation)} promises ${answer.relay}`,
          ),
        ]
      : [];
  });
