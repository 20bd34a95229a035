import type { SelectorSettings } from '../../../services/selection/ttl-policy.js';
import type { Answer, Method } from '../../chaos/record/records.js';
import type { LogLine } from '../world/log.js';
import type { MediaLife } from '../world/relay-host.js';
import type { Crash } from '../world/world.js';

/** What a caller asked, and what it saw. All times are of the simulation, ms. */
export interface Operation {
  readonly front: 'grpc' | 'ng';
  readonly method: Method | 'query' | 'list';
  readonly callId: string;
  readonly replica: string;
  readonly life: number;
  readonly requestId?: string;
  /** For a move: the generation to replace. */
  readonly generation?: number;
  readonly inDialog: boolean;
  readonly invokeMs: number;
  readonly returnMs: number;
  /** `unknown`: it may have taken effect, or may yet. */
  readonly outcome: 'ok' | 'refused' | 'unknown';
  readonly reason?: string;
  readonly answer?: Answer & { readonly state?: string };
  /** For ng: which life of a relay answered. */
  readonly media?: string | undefined;
  /** The lives that carry the call when the answer arrives. No caller sees that; the relays are asked. */
  readonly carriers: readonly string[];
}

/** What service is promised while a fault lasts, to whom it touches. */
export type Promised = 'fresh' | 'answered' | 'nothing';

export interface FaultSpan {
  readonly kind: string;
  /** Names of replicas, relays, proxies; `etcd` is all of it. */
  readonly touches: readonly string[];
  readonly beginMs: number;
  endMs: number;
  readonly promised: Promised;
  /** That is what is promised so long after its beginning; and again what was before, so long after its end. */
  readonly graceMs: number;
  /** The calls of a relay that it touches may be moved. */
  readonly excusesMoves: boolean;
}

/** A call that was answered, is not ended, and had its media on one life all the time. */
export interface LiveCall {
  readonly callId: string;
  readonly media: string;
}

/** What one replica says when all has healed. */
export interface FinalState {
  readonly replica: string;
  readonly relays: readonly string[] | undefined;
  readonly isFresh: boolean;
}

export interface History {
  readonly seed: number;
  readonly withoutQuorum: 'available' | 'strict';
  readonly settings: Pick<SelectorSettings, 'setupTtlSeconds' | 'callTtlSeconds'>;
  readonly operations: readonly Operation[];
  readonly faults: readonly FaultSpan[];
  readonly lives: ReadonlyMap<string, readonly MediaLife[]>;
  readonly healedMs: number;
  /** When all replicas are asked for all calls. */
  readonly settledMs: number;
  readonly live: readonly LiveCall[];
  readonly final: readonly FinalState[];
  readonly crashes: readonly Crash[];
  readonly log: readonly LogLine[];
}

export const checkNames = [
  'no crash',
  'agreement',
  'order',
  'moves once',
  'stickiness',
  'media',
  'released',
  'remembered',
  'service',
  'relays registered',
  'live calls',
] as const;

export type CheckName = (typeof checkNames)[number];

export interface Violation {
  readonly check: CheckName;
  readonly atMs: number;
  readonly callId: string;
  readonly message: string;
}
