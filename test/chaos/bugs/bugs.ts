import { fileURLToPath } from 'node:url';
import type { CheckName } from '../check/violation.js';
import type { FaultMix } from '../plan/schedule.js';

/** A bug that a replica gets from a module that it loads before anything else. */
export interface Bug {
  readonly name: string;
  readonly title: string;
  /** The faults that expose it. */
  readonly mix: FaultMix;
  /** The checks that can catch it. */
  readonly caughtBy: readonly CheckName[];
  /** How long faults are injected at most, ms, if it shows only when they are over. */
  readonly durationMs?: number;
}

const silentEtcd: FaultMix = { 'leader-stop': 2, 'leader-kill': 2, 'follower-stop': 1 };
const lostHistory: FaultMix = { 'etcd-wipe': 4, 'etcd-restore': 4 };
const lostRelays: FaultMix = { 'relay-restart': 3, 'relay-kill': 1 };

export const bugs: readonly Bug[] = [
  {
    name: 'unguarded-put',
    title: 'a binding is written whatever is there',
    mix: {},
    caughtBy: ['one binding', 'generation', 'cause of move', 'move is told'],
  },
  {
    name: 'registration-unchecked',
    title: 'a binding is written without checking the registration',
    mix: { ...lostRelays, 'follower-stop': 2, 'leader-stop': 1 },
    caughtBy: ['live target', 'cause of move'],
  },
  {
    name: 'stale-move',
    title: 'a call is moved on an outdated view',
    mix: { 'node-kill': 3, 'node-stop': 1 },
    caughtBy: ['cause of move'],
  },
  {
    name: 'cache-ignores-instance',
    title: 'a cached binding is answered although its relay has restarted',
    mix: { 'relay-restart': 1, 'relay-kill': 1 },
    caughtBy: ['relay was registered'],
  },
  {
    name: 'watch-resumes-late',
    title: 'a broken watch resumes from now',
    mix: { 'link-cut': 3, 'link-freeze': 1, 'relay-restart': 1, 'node-stop': 2 },
    caughtBy: ['answer is of its time', 'relay was registered'],
  },
  {
    name: 'retry-forgets-itself',
    title: 'a retry mistakes its own write for that of another',
    mix: { ...silentEtcd, 'link-freeze': 3, 'link-cut': 1 },
    caughtBy: ['retries converge'],
  },
  {
    name: 'bucket-revoked-early',
    title: 'the lease of a bucket is revoked when the next one exists',
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
    title: 'a move does not increment the generation',
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
    title: 'a move is written without its key under `moves/`',
    mix: {},
    caughtBy: ['move is told', 'answer is of its time'],
  },
  {
    name: 'hasty-answer',
    title: 'a write with an unknown outcome is answered as done',
    mix: silentEtcd,
    caughtBy: ['answer is of the log', 'acknowledged is done'],
  },
  {
    name: 'loss-unnoticed',
    title: 'nobody looks which cluster and which revision an answer is of',
    mix: lostHistory,
    caughtBy: ['answer is of its time', 'call stays', 'ended stays ended', 'recovers'],
  },
  {
    name: 'restore-believed',
    title: 'a restored etcd is believed',
    mix: { 'etcd-restore': 8, 'replica-kill': 1 },
    caughtBy: ['ended stays ended'],
  },
  {
    name: 'all-reasserted',
    title: 'all that is remembered is written again after a loss, whether a relay carries it or not',
    mix: lostHistory,
    caughtBy: ['ended stays ended'],
  },
  {
    name: 'relays-unasked',
    title: 'relays are taken to carry nothing',
    mix: lostHistory,
    caughtBy: ['call stays'],
  },
  {
    name: 'generation-forgotten',
    title: 'what etcd has lost is written again as the first generation',
    mix: { ...lostHistory, 'relay-restart': 1 },
    caughtBy: ['replica never goes back', 'call stays', 'generation', 'one binding'],
  },
  {
    name: 'delete-forgotten',
    title: 'a delete that a relay did not answer is not tried again',
    mix: { 'control-loss': 1 },
    caughtBy: ['ended stays ended'],
  },
  {
    name: 'answer-unrecorded',
    title: 'an answered call goes on as one that is being set up',
    mix: { 'control-loss': 1 },
    caughtBy: ['call stays'],
  },
  {
    name: 'wall-clock-deadlines',
    title: 'deadlines and ages are measured by the wall clock',
    mix: { 'clock-step': 1 },
    caughtBy: ['lifetime', 'answer is of its time', 'provisional in need', 'bound is found', 'recovers'],
  },
  {
    name: 'watch-stays-broken',
    title: 'a watch that breaks is not established again',
    mix: { 'link-cut': 1 },
    durationMs: 20_000,
    caughtBy: ['recovers'],
  },
];

/** Path of the module with the bug. */
export function moduleOf({ name }: Bug): string {
  return fileURLToPath(new URL(`${name}.js`, import.meta.url));
}
