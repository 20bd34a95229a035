import type {
  Answer,
  CensusRecord,
  EpochRecord,
  EventRecord,
  FaultRecord,
  HistoryRecord,
  InvokeRecord,
  LogRecord,
  ProbeRecord,
  ReturnRecord,
  RunRecord,
} from '../record/records.js';
import { KeyHistory } from './key-history.js';
import { RevisionClock } from './revision-clock.js';
import { type Moment, type Registration, readBinding, Story } from './story.js';
import { type Violation, violation } from './violation.js';

/** One operation with its beginning and end. Without a known outcome its end is open. */
export interface Operation extends Omit<InvokeRecord, 'type' | 'atMs'> {
  readonly invokeMs: number;
  readonly returnMs: number;
  /** Which start of the replica answered. */
  readonly returnLife: number;
  readonly outcome: ReturnRecord['outcome'];
  readonly reason?: string;
  readonly answer?: Answer;
  readonly found?: boolean;
  readonly mediaRelay?: string;
}

export interface Stretch {
  readonly beginMs: number;
  readonly endMs: number;
}

export interface FaultSpan extends Stretch {
  readonly kind: string;
  readonly subject: string;
  readonly stepMs: number;
}

/** Half of the time that a replica waits for the answer to a probe. */
const slowMs = 100;

/** All that is known of one Call-ID, which is in one set: the workload names none, and needs no escapes in keys. */
export interface CallEvidence {
  readonly callId: string;
  readonly operations: Operation[];
  readonly story: Story;
  /** Generations published under `moves/`, by revision. */
  readonly moves: Map<number, number>;
}

/** A history and a watch log, sorted by call and relay. */
export interface Evidence {
  readonly run: RunRecord;
  readonly calls: ReadonlyMap<string, CallEvidence>;
  /** By `<set>/<id>`. */
  readonly registrations: ReadonlyMap<string, readonly Registration[]>;
  readonly faults: readonly FaultSpan[];
  /** When etcd was slow to answer the reads of the run, for whatever reason. */
  readonly slow: readonly Stretch[];
  readonly operations: number;
  /** What relays say that they carry. */
  readonly censuses: readonly CensusRecord[];
  /** When the last fault was healed, if it was, and what replicas said from then on. */
  readonly healedMs: number | undefined;
  readonly probes: readonly ProbeRecord[];
  /** When etcd came back with another history. */
  readonly losses: readonly Moment[];
  /** Gaps in the log. */
  readonly flaws: readonly Violation[];
}

/** @throws Error if the history has no run record */
export function gather(history: readonly HistoryRecord[], log: readonly LogRecord[]): Evidence {
  const run = history.find((record) => record.type === 'run');
  if (!run) {
    throw new Error('the history has no run record');
  }
  const calls = new Map<string, CallEvidence>();
  const callOf = (callId: string): CallEvidence => {
    const known = calls.get(callId);
    if (known) {
      return known;
    }
    const fresh: CallEvidence = { callId, operations: [], story: new Story(), moves: new Map() };
    calls.set(callId, fresh);
    return fresh;
  };
  const operations = pairUp(history);
  for (const operation of operations) {
    callOf(operation.callId).operations.push(operation);
  }
  const registrations = new Map<string, Registration[]>();
  const flaws: Violation[] = [];
  const versions = new KeyHistory<number>();
  const losses: Moment[] = [];
  const clock = new RevisionClock(log);
  const momentOf = (revision: number): Moment => ({
    revision,
    afterMs: clock.after(revision),
    byMs: clock.by(revision),
  });
  for (const event of log) {
    if (event.type === 'epoch') {
      const moment = momentOf(event.revision);
      losses.push(moment);
      versions.restore(event.revision, event.restoredFrom);
      goBack(event, moment, calls.values(), registrations.values());
    }
    if (event.type !== 'put' && event.type !== 'delete') {
      continue;
    }
    const flaw = gap(event, versions);
    if (flaw) {
      flaws.push(flaw);
    }
    const { revision, key } = event;
    const moment = momentOf(revision);
    const [room = '', name = ''] = split(key);
    const [callId = '', set = ''] = name.split('/');
    if (room === 'calls') {
      const binding = event.type === 'put' ? readBinding(set, event.value ?? '') : undefined;
      callOf(callId).story.add({ ...moment, binding });
    } else if (room === 'moves' && event.type === 'put') {
      callOf(callId).moves.set(revision, Number(read(event.value)?.['generation']));
    } else if (room === 'relays') {
      const instance = event.type === 'put' ? String(read(event.value)?.['instance']) : undefined;
      const known = registrations.get(name) ?? [];
      registrations.set(name, known);
      known.push({ ...moment, instance });
    }
  }
  return {
    run,
    calls,
    registrations,
    faults: faultsOf(history),
    slow: slowStretches(log),
    operations: operations.length,
    censuses: history.filter((record) => record.type === 'census'),
    healedMs: history.find((record) => record.type === 'healed')?.atMs,
    probes: history.filter((record) => record.type === 'probe'),
    losses,
    flaws,
  };
}

/** Each key is again what it was at an earlier revision. */
function goBack(
  { restoredFrom }: EpochRecord,
  moment: Moment,
  calls: Iterable<CallEvidence>,
  registrations: Iterable<Registration[]>,
): void {
  const before = <T extends Moment>(states: readonly T[]) =>
    states.findLast(({ revision }) => revision <= restoredFrom);
  for (const { story } of calls) {
    const now = story.states.at(-1);
    const then = before(story.states);
    if (now?.binding || then?.binding) {
      story.add({ ...moment, binding: then?.binding, isLoss: true });
    }
  }
  for (const states of registrations) {
    states.push({ ...moment, instance: before(states)?.instance, isLoss: true });
  }
}

function pairUp(history: readonly HistoryRecord[]): Operation[] {
  const returns = new Map<number, ReturnRecord>();
  for (const record of history) {
    if (record.type === 'return') {
      returns.set(record.op, record);
    }
  }
  return history.flatMap((record): Operation[] => {
    if (record.type !== 'invoke') {
      return [];
    }
    const { type: _, atMs: invokeMs, ...asked } = record;
    const end = returns.get(record.op);
    if (!end || end.outcome === 'unknown') {
      return [
        {
          ...asked,
          invokeMs,
          returnMs: Number.POSITIVE_INFINITY,
          returnLife: record.life,
          outcome: 'unknown',
          ...(end?.reason === undefined ? {} : { reason: end.reason }),
        },
      ];
    }
    const { type: __, op: ___, atMs: returnMs, life: returnLife, ...outcome } = end;
    return [{ ...asked, invokeMs, returnMs, returnLife, ...outcome }];
  });
}

function faultsOf(history: readonly HistoryRecord[]): FaultSpan[] {
  const faults = history.filter((record): record is FaultRecord => record.type === 'fault');
  const ends = new Map(faults.filter(({ phase }) => phase === 'end').map((end) => [end.id, end.atMs]));
  return faults
    .filter(({ phase }) => phase === 'begin')
    .map(({ id, kind, subject, atMs, stepMs = 0 }) => ({
      kind,
      subject,
      stepMs,
      beginMs: atMs,
      endMs: ends.get(id) ?? Number.POSITIVE_INFINITY,
    }));
}

/** etcd is read four times a second: stretches with a slow answer or none. */
function slowStretches(log: readonly LogRecord[]): Stretch[] {
  const ticks = log.filter((record) => record.type === 'tick').sort((a, b) => a.atMs - b.atMs);
  return ticks.flatMap(({ askedAtMs, atMs }, i) => {
    const beginMs = Math.min(askedAtMs, ticks[i - 1]?.atMs ?? askedAtMs);
    const isSlow = atMs - askedAtMs > slowMs || atMs - beginMs > 1000;
    return isSlow ? [{ beginMs, endMs: atMs }] : [];
  });
}

/** Each put increments the version of its key: a missing version is an event that was not recorded. */
function gap(event: EventRecord, versions: KeyHistory<number>): Violation | undefined {
  const { key, version, type, revision, atMs } = event;
  const before = versions.get(key) ?? 0;
  const expected = type === 'put' ? before + 1 : 0;
  versions.set(key, revision, version);
  if (version === expected) {
    return undefined;
  }
  return violation('log is whole', '', atMs, `${key} has version ${version} at ${revision}, not ${expected}`);
}

function split(key: string): [string, string] {
  const at = key.indexOf('/');
  return [key.slice(0, at), key.slice(at + 1)];
}

function read(text: string | undefined): Record<string, unknown> | undefined {
  try {
    return JSON.parse(text ?? '') as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
