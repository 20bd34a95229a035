import { mayLackEtcd } from './disturbance.js';
import type { CheckName, History, Operation, Violation } from './history.js';

/** How long a replica may answer from memory what it could not hear had changed: a ping and its timeout, and a margin. */
export const stalenessMs = 10_000;

export type Answered = Operation & { readonly answer: NonNullable<Operation['answer']> };
export type Rule = (history: History, operations: readonly Operation[]) => Violation[];

export const isFresh = (operation: Operation): operation is Answered =>
  operation.answer?.freshness === 'fresh';
export const where = ({ answer }: Answered) => `${answer.relay}/${answer.instance}/${answer.generation}`;
export const violation = (check: CheckName, { returnMs, callId }: Operation, message: string): Violation => ({
  check,
  atMs: returnMs,
  callId,
  message,
});
export const of = ({ method, replica, life, invokeMs }: Operation) =>
  `${method} of ${replica}.${life} at ${(invokeMs / 1000).toFixed(3)}`;

/** What ends a call. */
export const ends = new Set(['delete', 'release']);

/** What a binding lives its TTL after. */
const uses = new Set(['select', 'offer', 'reoffer', 'answer', 'move']);
export const isUse = ({ outcome, method }: Operation) => outcome === 'ok' && uses.has(method);

/** The operations from one beginning of the call to its end. */
export function beginnings({ settings }: History, operations: readonly Operation[]): Operation[][] {
  const lives: Operation[][] = [[]];
  for (const operation of operations) {
    const life = lives.at(-1) ?? [];
    const isAfterEnd = life.some(({ method }) => ends.has(method));
    const beginsAgain = isAfterEnd && !ends.has(operation.method) && !operation.inDialog;
    if (beginsAgain || mayHaveRunOut(settings, life, operation)) {
      lives.push([]);
    }
    lives.at(-1)?.push(operation);
  }
  return lives;
}

/**
 * Nobody has used the call for its TTL, and no relay carries it, which would have kept it: this request may have begun it anew,
 * at the first generation. A request that still finds its binding has not, nor has one that begins nothing.
 */
function mayHaveRunOut(
  { setupTtlSeconds, callTtlSeconds }: History['settings'],
  before: readonly Operation[],
  operation: Operation,
): boolean {
  const { carriers, returnMs, answer } = operation;
  const known = before.findLast((each) => isUse(each) || each.carriers.length > 0);
  const ttlSeconds = before.findLast(isUse)?.inDialog ? callTtlSeconds : setupTtlSeconds;
  const mayBegin = isUse(operation) && (answer?.generation ?? 1) === 1 && carriers.length === 0;
  return mayBegin && known !== undefined && returnMs - known.invokeMs > ttlSeconds * 1000;
}

/** What says that the call is in progress, as far as its proxy can know. */
export const answers = (operation: Operation) =>
  operation.outcome === 'ok' &&
  (operation.method === 'answer' || (isFresh(operation) && operation.answer.state === 'ANSWERED'));

export const relayOf = (operation: Operation): string | undefined =>
  operation.front === 'ng'
    ? operation.media?.split('.')[0]
    : isFresh(operation)
      ? operation.answer.relay
      : undefined;

/**
 * What was seen until a replica that lacked etcd and had never heard of the call promised it a relay of its own: a promise may be
 * another than the binding, and the proxy that follows it has its call on two relays.
 */
export function untilPromised({ faults }: History, operations: readonly Operation[]): readonly Operation[] {
  let media: string | undefined;
  let generation = 0;
  const at = operations.findIndex((operation) => {
    const { answer, replica, invokeMs, returnMs, reason } = operation;
    const isElsewhere = operation.media !== undefined && operation.media !== media;
    const isFirst = media === undefined;
    media = operation.media ?? media;
    // Nor does such a replica note that a call begins again after its release.
    const isStaleBeginning = answer?.freshness === 'stale' && !operation.inDialog;
    const isForgotten = isStaleBeginning && answer.released;
    // Or it has heard neither of the release nor of the move before it, and sends the new call to where the old one was.
    const isMisled = isStaleBeginning && answer.generation < generation;
    generation = Math.max(generation, answer?.generation ?? 0);
    // A request to end it that nobody answered may wait in a socket, and end what begins after it.
    const mayStillEnd = ends.has(operation.method) && operation.outcome === 'unknown';
    return (
      answer?.freshness === 'provisional' ||
      isForgotten ||
      isMisled ||
      mayStillEnd ||
      (((isElsewhere && !isFirst) || reason?.includes('Unknown call-id')) &&
        mayLackEtcd(faults, replica, invokeMs, returnMs))
    );
  });
  return at < 0 ? operations : operations.slice(0, at);
}
