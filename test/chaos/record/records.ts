/** The records of a run, one JSON object per line. All times are of the run's clock, ms since 1970. */

export type Method =
  | 'select'
  | 'stream'
  | 'lookup'
  | 'move'
  | 'release'
  | 'offer'
  | 'reoffer'
  | 'answer'
  | 'delete';

/** The settings that the checker needs. */
export interface RunRecord {
  readonly type: 'run';
  readonly atMs: number;
  readonly seed: number;
  readonly setupTtlSeconds: number;
  readonly callTtlSeconds: number;
  readonly lingerSeconds: number;
  readonly replicas: readonly string[];
  readonly relays: readonly string[];
}

export interface InvokeRecord {
  readonly type: 'invoke';
  readonly op: number;
  readonly atMs: number;
  readonly method: Method;
  readonly callId: string;
  /** The replica, and which of its starts. */
  readonly replica: string;
  readonly life: number;
  readonly requestId?: string;
  /** For a move: the generation to replace. */
  readonly generation?: number;
}

export interface Answer {
  readonly relay: string;
  readonly instance: string;
  readonly generation: number;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly released: boolean;
  readonly origin?: 'new' | 'existing' | 'moved';
  readonly freshness: 'fresh' | 'stale' | 'provisional';
}

/** An operation without this record has no known outcome: it may take effect at any time after its beginning. */
export interface ReturnRecord {
  readonly type: 'return';
  readonly op: number;
  readonly atMs: number;
  readonly life: number;
  /** `unknown`: a failure that leaves open whether the operation took effect. */
  readonly outcome: 'ok' | 'refused' | 'unknown';
  /** For a failure: the gRPC status or the gateway's error. */
  readonly reason?: string;
  readonly answer?: Answer;
  /** For a release: whether there was a binding. */
  readonly found?: boolean;
  /** For an ng reply with media: the relay of its address. */
  readonly mediaRelay?: string;
}

export interface FaultRecord {
  readonly type: 'fault';
  readonly atMs: number;
  readonly id: number;
  readonly kind: string;
  readonly phase: 'begin' | 'end';
  /** The target of the fault. */
  readonly subject: string;
  /** By how much a wall clock is set forward while it lasts; negative: back. */
  readonly stepMs?: number;
}

/** The last fault is healed. */
export interface HealedRecord {
  readonly type: 'healed';
  readonly atMs: number;
}

/** What a replica says of the relays after that. */
export interface ProbeRecord {
  readonly type: 'probe';
  readonly atMs: number;
  readonly replica: string;
  readonly fresh: boolean;
  readonly relays: readonly string[];
}

/** The calls that a relay carries, by its own word. */
export interface CensusRecord {
  readonly type: 'census';
  readonly askedAtMs: number;
  readonly atMs: number;
  readonly relay: string;
  readonly calls: readonly string[];
}

export type HistoryRecord =
  | RunRecord
  | InvokeRecord
  | ReturnRecord
  | FaultRecord
  | HealedRecord
  | ProbeRecord
  | CensusRecord;

/**
 * One event of etcd's watch. The log has all revisions without a gap. Those of an etcd that was wiped or restored continue
 * the ones before.
 */
export interface EventRecord {
  readonly type: 'put' | 'delete';
  readonly revision: number;
  readonly key: string;
  /** For a put. */
  readonly value?: string;
  /** Number of puts since the key was created: it reveals gaps in this log. */
  readonly version: number;
  /** When the event arrived: it happened before. */
  readonly atMs: number;
}

/** A linearizable read of etcd's revision, which existed at `atMs`. Later revisions are later than `askedAtMs`. */
export interface TickRecord {
  readonly type: 'tick';
  readonly askedAtMs: number;
  readonly atMs: number;
  readonly revision: number;
}

/** The revision from which the log is complete. */
export interface StartRecord {
  readonly type: 'start';
  readonly atMs: number;
  readonly revision: number;
}

/** etcd has come back with what it had at an earlier revision; at 0, empty. */
export interface EpochRecord {
  readonly type: 'epoch';
  /** When Holdfast could reach it. */
  readonly atMs: number;
  readonly revision: number;
  readonly restoredFrom: number;
}

export type LogRecord = EventRecord | TickRecord | StartRecord | EpochRecord;
