import type { Severity } from './recorded-event.js';

/** Something that is wrong now, with what to do. The table "At night" of the operators' page says more. */
export interface Problem {
  readonly level: Exclude<Severity, 'info'>;
  readonly text: string;
  readonly advice: string;
}

/** How a replica and what it sees are, in one sentence and in numbers. */
export interface ReplicaStatus {
  /** When it was told, ms since 1970. */
  readonly atMs: number;
  /** For people. */
  readonly name: string;
  readonly version: string;
  /** That of the worst problem. */
  readonly level: 'ok' | Problem['level'];
  /** All is well, or the worst problem. */
  readonly summary: string;
  /** What to do about the worst problem. */
  readonly advice?: string | undefined;
  /** The worst first. */
  readonly problems: readonly Problem[];
  /** Registered relays. */
  readonly relays: number;
  /** Concurrent calls, by the last reports of the relays. */
  readonly calls: number;
  readonly traffic: TrafficRates;
  /** Bindings that are remembered, by `relayKey`. */
  readonly bindings: ReadonlyMap<string, number>;
  readonly etcd: {
    /** False while its quorum does not answer, or it refuses writes. */
    readonly answers: boolean;
    /** Why it does not. */
    readonly reason?: string | undefined;
    readonly lostForSeconds?: number | undefined;
    /** Whether changes in etcd are heard as they happen. */
    readonly updates: boolean;
  };
  /** That share this etcd. */
  readonly replicas: readonly ReplicaEntry[];
}

/** What one replica has done within the last seconds. */
export interface TrafficRates {
  /** Calls that it has bound, per second. */
  readonly newPerSecond: number;
  /** The same for each relay, by `relayKey`; those without any are missing. */
  readonly newByRelay: ReadonlyMap<string, number>;
  /** 99 of 100 requests for calls were answered within this time, ms; undefined without requests. */
  readonly p99Ms?: number | undefined;
}

/** A replica that shares this etcd. */
export interface ReplicaEntry {
  readonly name: string;
  /** It is the one that tells. */
  readonly isOwn: boolean;
  /** Settings that it has other values of, by their variables. */
  readonly differing: readonly string[];
}
