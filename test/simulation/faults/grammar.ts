import type { Random } from '../../chaos/plan/random.js';
import type { FaultSpan } from '../check/history.js';
import type { World } from '../world/world.js';
import { clockFaults } from './clock-faults.js';
import { etcdFaults } from './etcd-faults.js';
import { linkFaults } from './link-faults.js';
import { processFaults } from './process-faults.js';
import { rpcFaults } from './rpc-faults.js';

/** One fault of a schedule, drawn in full: its kind, what it hits, and how. */
export interface Fault extends Pick<FaultSpan, 'touches' | 'promised' | 'graceMs' | 'excusesMoves'> {
  /** What is hit, in words. */
  readonly subject: string;
  readonly begin: () => void;
  readonly end: () => void;
}

/** Draws a fault of one kind; undefined if this world has nothing that it could hit. */
export type FaultKind = (world: World, random: Random) => Fault | undefined;

export interface Weighted {
  readonly weight: number;
  readonly draw: FaultKind;
}

/** What can go wrong, and how often one of them does compared to the others. */
export const faultKinds = {
  ...etcdFaults,
  ...linkFaults,
  ...processFaults,
  ...clockFaults,
  ...rpcFaults,
} satisfies Readonly<Record<string, Weighted>>;

export type FaultName = keyof typeof faultKinds;

export const faultNames = Object.keys(faultKinds) as FaultName[];
