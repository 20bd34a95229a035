import { isClockSet, isQuiet, mayLoseCalls, promisedTo } from './disturbance.js';
import { ends, isFresh, isUse, of, type Rule, violation, where } from './view.js';

/** By then relays are registered, whichever member of etcd everybody asks first. */
const startedMs = 3000;

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
    const isFailed = outcome !== 'ok' && isOwed && invokeMs > startedMs;
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

/** What was used so long before etcd went away lives on: its time did not run out before. */
const inUseMs = 8000;

/** While etcd is away, a replica that knows a call answers it as before: it neither forgets it nor promises another relay. */
export const remembered: Rule = ({ faults }, operations) =>
  operations.flatMap((operation, at) => {
    const { answer, replica, life, invokeMs, returnMs, inDialog, method } = operation;
    const known = operations
      .slice(0, at)
      .filter(isFresh)
      .findLast((each) => each.replica === replica && each.life === life && isUse(each));
    // Other faults that last as long say nothing of when etcd went away.
    const outage = faults.find(
      ({ touches, promised, beginMs, endMs }) =>
        promised === 'answered' &&
        (touches.includes('etcd') || touches.includes(replica)) &&
        beginMs < invokeMs &&
        endMs > returnMs,
    );
    const isAsked = method === 'select' || method === 'lookup';
    if (!isAsked || !known || !outage || known.returnMs < outage.beginMs - inUseMs) {
      return [];
    }
    // Of what others did to the call it has heard, or has not.
    const since = operations.filter((each) => each !== operation && each.returnMs > known.invokeMs);
    const isChanged = since.some(({ method }) => method === 'move' || ends.has(method));
    const mayBeGone = mayLoseCalls(faults, known.answer.relay, known.invokeMs, returnMs);
    if (isChanged || mayBeGone) {
      return [];
    }
    const isElsewhere =
      answer?.freshness === 'provisional' &&
      (answer.relay !== known.answer.relay || answer.instance !== known.answer.instance);
    // Where its memory ends, by a clock that was set, it asks the relays.
    const isOwed =
      inDialog &&
      promisedTo(faults, replica, invokeMs - 1000, returnMs) === 'answered' &&
      !isClockSet(faults, operations[0]?.invokeMs ?? 0, returnMs);
    const isForgotten = isOwed && (answer === undefined || answer.freshness === 'provisional');
    return isElsewhere || isForgotten
      ? [
          violation(
            'remembered',
            operation,
            `${of(known)} said ${where(known)}, and ${of(operation)} ${answer ? `promises ${answer.relay}` : `knows nothing of it: ${operation.reason}`}`,
          ),
        ]
      : [];
  });
