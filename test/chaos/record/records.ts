/** What a run leaves behind, one JSON object per line. Times are of one clock, that of the run: ms since 1970. */

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

/** What the checker has to know of the settings. */
export interface RunRecord {
  readonly type: 'run';
  readonly atMs: number;
  readonly seed: number;
  readonly setupTtlSeconds: number;
  readonly callTtlSeconds: number;
  readonly lingerSeconds: number;
}

export interface InvokeRecord {
  readonly type: 'invoke';
  readonly op: number;
  readonly atMs: number;
  readonly method: Method;
  readonly callId: string;
  /** The replica that was asked, and which of its lives. */
  readonly replica: string;
  readonly life: number;
  readonly requestId?: string;
  /** Of a move: the generation to replace. */
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

/** An operation without one has no known outcome: it may take effect at any time after its beginning. */
export interface ReturnRecord {
  readonly type: 'return';
  readonly op: number;
  readonly atMs: number;
  readonly life: number;
  /** `unknown`: it failed in a way that leaves open whether it took effect. */
  readonly outcome: 'ok' | 'refused' | 'unknown';
  /** Of a failure: the gRPC status or what the gateway said. */
  readonly reason?: string;
  readonly answer?: Answer;
  /** Of a release: whether there was something to release. */
  readonly found?: boolean;
  /** Of an ng answer with media in it: whose. */
  readonly mediaRelay?: string;
}

export interface FaultRecord {
  readonly type: 'fault';
  readonly atMs: number;
  readonly id: number;
  readonly kind: string;
  readonly phase: 'begin' | 'end';
  /** Who is hurt. */
  readonly subject: string;
}

export type HistoryRecord = RunRecord | InvokeRecord | ReturnRecord | FaultRecord;

/** One event as etcd's watch told it, all revisions without a gap. */
export interface EventRecord {
  readonly type: 'put' | 'delete';
  readonly revision: number;
  readonly key: string;
  /** Of a put. */
  readonly value?: string;
  /** How many times the key was put since it was created: by it a gap in this log is seen. */
  readonly version: number;
  /** When the event was heard: it happened before. */
  readonly atMs: number;
}

/** A linearizable read of etcd's revision: later revisions came after `askedAtMs`, this one was there at `atMs`. */
export interface TickRecord {
  readonly type: 'tick';
  readonly askedAtMs: number;
  readonly atMs: number;
  readonly revision: number;
}

/** The revision from which on the log is whole. */
export interface StartRecord {
  readonly type: 'start';
  readonly atMs: number;
  readonly revision: number;
}

export type LogRecord = EventRecord | TickRecord | StartRecord;
