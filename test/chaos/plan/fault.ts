/**
 * Three lanes, each with one fault at a time: so at most three overlap, and a majority of etcd is lost only where that
 * is the fault itself.
 */
export const etcdFaults = [
  /** SIGKILL of the member that leads, or of one that follows; it starts again on its data. */
  'leader-kill',
  'follower-kill',
  /** SIGSTOP: connections stay, and nothing answers. */
  'leader-stop',
  'follower-stop',
  /** The ways between one member and the others: nothing passes, or the connections are broken. */
  'leader-apart',
  'follower-apart',
  /** History up to now is forgotten: watches that are behind cannot be resumed. */
  'compaction',
  /** All members are killed. */
  'etcd-down',
] as const;

export const processFaults = [
  'replica-kill',
  'replica-stop',
  /** The process beside the relay; a built-in relay dies with it, an rtpengine lives on. */
  'node-kill',
  'node-stop',
  /** The media process itself, and its sessions with it: it comes back as a new instance. */
  'relay-kill',
  'relay-stop',
  /** Killed and started again at once. */
  'relay-restart',
] as const;

export const linkFaults = [
  /** Connections of one party with etcd break, and no new one comes about. */
  'link-cut',
  /** Half-open: connections stay, and nothing passes in one direction or in both. */
  'link-freeze',
  'link-delay',
] as const;

export type EtcdFault = (typeof etcdFaults)[number];
export type ProcessFault = (typeof processFaults)[number];
export type LinkFault = (typeof linkFaults)[number];
export type FaultKind = EtcdFault | ProcessFault | LinkFault;

export type FrozenDirections = 'requests' | 'answers' | 'both';

/** One fault of a schedule, all of it drawn before the run. */
export interface Fault {
  readonly kind: FaultKind;
  /** From the beginning of the run. */
  readonly atMs: number;
  /** How long it lasts; 0 for what is over at once. */
  readonly forMs: number;
  /** Which of those that there are at that time: taken modulo their number. */
  readonly target: number;
  /** Of a link: to all members of etcd, or to one of them. */
  readonly everyMember: boolean;
  readonly directions: FrozenDirections;
  readonly delayMs: number;
  /** A thousand new calls arrive just as it begins. */
  readonly burst: boolean;
}
