/** What a record tells of. A reader that does not know one shows its text. */
export const recordedTypes = [
  'replica-started',
  'relay-joined',
  'relay-left',
  'relay-restarted',
  'relay-drained',
  'relay-disabled',
  'relay-resumed',
  'relay-weight',
  'relay-full',
  'relay-has-room',
  'relay-suspect',
  'calls-moved',
  'calls-adopted',
  /** One call on two relays. */
  'calls-doubled',
  'calls-refused',
  /** Calls that were given a relay without etcd, and are on another one. */
  'calls-rebound',
  /** Calls that were given a relay without etcd, and could not be bound. */
  'calls-unbound',
  'etcd-lost',
  /** etcd refuses writes because its space is exhausted (its alarm NOSPACE): lost, in a way that only an operator ends. */
  'etcd-full',
  'etcd-back',
  /** etcd may have lost bindings, or has them again. */
  'etcd-history',
  'settings-differ',
  'certificate-changed',
  /** New files cannot be used. */
  'certificate-invalid',
  'certificate-expires',
] as const;

export type RecordedType = (typeof recordedTypes)[number];

/** info: for the record. warning: not as it should be. critical: calls are refused, lost or at risk. */
export type Severity = 'info' | 'warning' | 'critical';

/** An event as it is kept and shown. What happens to many calls for one cause is one record with their number. */
export interface RecordedEvent {
  /** Ascending at one replica, from 1; begins anew when the replica restarts. */
  readonly sequence: number;
  /** Ms since 1970. */
  readonly atMs: number;
  readonly type: RecordedType;
  readonly severity: Severity;
  /** One sentence for people. Parts of it come from outside: it is not safe as markup. */
  readonly text: string;
  /** The relay that it is about; of calls that moved, the one that they left. */
  readonly set?: string | undefined;
  readonly relay?: string | undefined;
  readonly instance?: string | undefined;
  /** Number of calls. */
  readonly calls?: number | undefined;
  readonly reason?: string | undefined;
  readonly by?: string | undefined;
}

/** What was read from a history. */
export interface EventBatch {
  /** In order. */
  readonly events: readonly RecordedEvent[];
  /** Events between the last one that was read and the first of these that are not kept any more. */
  readonly missed: number;
  /** Where to read on. */
  readonly position: number;
}

/** The events that are kept. A reader has a position and nothing that could pile up for it. */
export interface EventFeed {
  /** The position before the events of the last so many ms. */
  positionBefore(ageMs: number): number;
  /** At most `most` events after the position. */
  read(position: number, most: number): EventBatch;
  /** The listener hears that there is more to read. @returns a function that ends that */
  subscribe(listener: () => void): () => void;
}
