import { fileURLToPath } from 'node:url';
import type { CheckName } from '../check/violation.js';
import type { FaultMix } from '../plan/schedule.js';

/** A mistake that a replica can be made to make, by a module that it loads before anything else. */
export interface Bug {
  readonly name: string;
  readonly title: string;
  /** The faults under which it shows. */
  readonly mix: FaultMix;
  /** The checks that may catch it. */
  readonly caughtBy: readonly CheckName[];
}

const silentEtcd: FaultMix = { 'leader-stop': 2, 'leader-kill': 2, 'follower-stop': 1 };
const lostRelays: FaultMix = { 'relay-restart': 3, 'relay-kill': 1 };

export const bugs: readonly Bug[] = [
  {
    name: 'unguarded-put',
    title: 'a binding is written whatever stands there',
    mix: {},
    caughtBy: ['one binding', 'generation', 'cause of move', 'move is told'],
  },
  {
    name: 'registration-unchecked',
    title: 'a binding is written without a look at the registration',
    mix: { ...lostRelays, 'follower-stop': 2, 'leader-stop': 1 },
    caughtBy: ['live target', 'cause of move'],
  },
  {
    name: 'stale-move',
    title: 'a call is moved because of a view that is behind',
    mix: { 'node-kill': 3, 'node-stop': 1 },
    caughtBy: ['cause of move'],
  },
  {
    name: 'cache-ignores-instance',
    title: 'a remembered binding is answered though its relay has restarted',
    mix: { 'relay-restart': 1, 'relay-kill': 1 },
    caughtBy: ['relay was registered'],
  },
  {
    name: 'watch-resumes-late',
    title: 'a watch that broke goes on from now',
    mix: { 'link-cut': 3, 'link-freeze': 1, 'relay-kill': 1, 'node-stop': 2 },
    caughtBy: ['answer is of its time', 'relay was registered'],
  },
  {
    name: 'retry-forgets-itself',
    title: "a retry takes its own write for another's",
    mix: { ...silentEtcd, 'link-freeze': 3, 'link-cut': 1 },
    caughtBy: ['retries converge'],
  },
  {
    name: 'bucket-revoked-early',
    title: 'the lease of a bucket is revoked once the next is there',
    mix: {},
    caughtBy: ['lifetime'],
  },
  {
    name: 'expiry-short',
    title: 'a bucket is granted for too short a time',
    mix: {},
    caughtBy: ['lifetime'],
  },
  {
    name: 'generation-stands',
    title: 'a move does not advance the generation',
    mix: {},
    caughtBy: ['one binding', 'generation', 'acknowledged is done'],
  },
  {
    name: 'release-deletes',
    title: 'a release removes the binding at once',
    mix: {},
    caughtBy: ['lifetime'],
  },
  {
    name: 'move-untold',
    title: 'a move is written without telling the caches',
    mix: {},
    caughtBy: ['move is told', 'answer is of its time'],
  },
  {
    name: 'hasty-answer',
    title: 'a write whose outcome is unknown is answered as done',
    mix: silentEtcd,
    caughtBy: ['answer is of the log', 'acknowledged is done'],
  },
];

/** Path of the module that makes a replica make this mistake. */
export function moduleOf({ name }: Bug): string {
  return fileURLToPath(new URL(`${name}.js`, import.meta.url));
}
