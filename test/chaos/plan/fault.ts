/** What can be done to etcd. */
export const etcdFaults = [
  /** SIGKILL of the leader or a follower; it starts again with its data. */
  'leader-kill',
  'follower-kill',
  /** SIGSTOP: connections stay open and nothing answers. */
  'leader-stop',
  'follower-stop',
  /** Partition of one member from the others: nothing passes, or connections are reset. */
  'leader-apart',
  'follower-apart',
  /** etcd drops its history up to now: watches that are behind cannot be resumed. */
  'compaction',
  /** All members are killed. */
  'etcd-down',
  /** All members lose their data and come back empty, as the same cluster or as another one. */
  'etcd-wipe',
  /** All members come back as they were some time before, with raised revisions where etcdutl can. */
  'etcd-restore',
] as const;

/** What can be done to Holdfast's processes and to relays. */
export const processFaults = [
  'replica-kill',
  'replica-stop',
  /** The relay node: a built-in relay dies with it, an rtpengine lives on. */
  'node-kill',
  'node-stop',
  /** The media process and its sessions: it comes back as a new instance. */
  'relay-kill',
  'relay-stop',
  /** Killed and started again at once. */
  'relay-restart',
] as const;

/** What can be done to the wall clock of a replica or a relay node. */
export const clockFaults = [
  /** Set forward or back by seconds or minutes, and set right when the fault ends. */
  'clock-step',
] as const;

/** What can be done to the connections of one process. */
export const linkFaults = [
  /** Connections are reset, and new ones are refused. */
  'link-cut',
  /** Half-open: connections stay open, and nothing passes in one direction or both. */
  'link-freeze',
  'link-delay',
  /** Datagrams of replicas to a relay's control port get lost, or their answers, or both: an unanswered delete. */
  'control-loss',
] as const;

export type EtcdFault = (typeof etcdFaults)[number];
export type ProcessFault = (typeof processFaults)[number];
export type ClockFault = (typeof clockFaults)[number];
export type LinkFault = (typeof linkFaults)[number];
export type FaultKind = EtcdFault | ProcessFault | LinkFault | ClockFault;

export const lanes = [etcdFaults, processFaults, linkFaults, clockFaults] as const;

/**
 * Faults of one lane never overlap: so at most four faults are active at a time, no process is killed while it is being
 * restarted, and etcd loses its quorum only where that is the fault.
 */
export const laneOf = (kind: FaultKind): number =>
  lanes.findIndex((kinds: readonly FaultKind[]) => kinds.includes(kind));

export type FrozenDirections = 'requests' | 'answers' | 'both';

/** One fault of a schedule, fully determined before the run. */
export interface Fault {
  readonly kind: FaultKind;
  /** Since the start of the run. */
  readonly atMs: number;
  /** How long it lasts; 0 for one that is over at once. */
  readonly forMs: number;
  /** Index of the target among those that there are at that time, modulo their number. */
  readonly target: number;
  /** For links: to all members of etcd, or to one of them. */
  readonly everyMember: boolean;
  readonly directions: FrozenDirections;
  readonly delayMs: number;
  /** For a clock: how far it is set forward; negative: back. */
  readonly stepMs: number;
  /** For a restore: the age of what is restored. */
  readonly ageMs: number;
  /** For a wipe: another cluster comes back. For a restore: revisions are raised. */
  readonly isMarked: boolean;
  /** A thousand new calls arrive as it begins. */
  readonly burst: boolean;
}
