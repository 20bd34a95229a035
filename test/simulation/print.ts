import type { Operation, Violation } from './check/history.js';
import type { Result } from './simulation.js';

const maxViolations = 10;
const maxOperations = 60;

/** What a seed violated, and all that the callers of the first violated call saw. */
export function failure({ seed, violations, history }: Result): string {
  const [first] = violations;
  if (!first) {
    return `seed ${seed}: nothing is violated`;
  }
  const operations = history.operations
    .filter(({ callId }) => callId === first.callId)
    .sort((a, b) => a.invokeMs - b.invokeMs);
  const lines = [
    ...operations.slice(-maxOperations).map((each) => ({ atMs: each.invokeMs, text: lineOf(each) })),
    ...history.faults.flatMap(({ kind, beginMs, endMs }) => [
      { atMs: beginMs, text: `fault: ${kind}` },
      ...(Number.isFinite(endMs) ? [{ atMs: endMs, text: `healed: ${kind}` }] : []),
    ]),
  ].sort((a, b) => a.atMs - b.atMs);
  return [
    `seed ${seed}: ${violations.length} violations`,
    ...violations.slice(0, maxViolations).map(violationLine),
    `what was seen of ${first.callId || 'no call'}:`,
    ...lines.map(({ atMs, text }) => `${seconds(atMs)} ${text}`),
  ].join('\n');
}

function violationLine({ atMs, check, callId, message }: Violation): string {
  return `${seconds(atMs)} ${check}: ${callId} ${message}`;
}

function lineOf(operation: Operation): string {
  const { replica, life, method, inDialog, returnMs, outcome, answer, media, reason, carriers } = operation;
  const said = answer
    ? `${answer.relay}/${answer.instance.slice(0, 4)}/${answer.generation} ${answer.state} ${answer.freshness} ${answer.origin ?? ''}`
    : (media ?? '');
  return [
    `${replica}.${life} ${method}${inDialog ? ' in dialog' : ''}`,
    `→ ${seconds(returnMs).trim()} ${outcome} ${said} ${(reason ?? '').slice(0, 140)}`,
    `carried by ${carriers.join(', ') || 'nobody'}`,
  ].join(' ');
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(3).padStart(8);
}
