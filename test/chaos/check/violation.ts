/** What the checker checks; README.md explains each. */
export const checkNames = [
  'log is whole',
  'one binding',
  'generation',
  'live target',
  'cause of move',
  'state',
  'move is told',
  'lifetime',
  'answer is of the log',
  'answer is of its time',
  'relay was registered',
  'replica never goes back',
  'acknowledged is done',
  'retries converge',
  'bound is found',
  'stale was true',
  'provisional in need',
  'call stays',
  'ended stays ended',
  'one relay',
  'recovers',
] as const;

export type CheckName = (typeof checkNames)[number];

export interface Violation {
  readonly check: CheckName;
  /** Empty if no call is concerned. */
  readonly callId: string;
  /** When it became visible. */
  readonly atMs: number;
  readonly message: string;
}

export function violation(check: CheckName, callId: string, atMs: number, message: string): Violation {
  return { check, callId, atMs, message };
}
