import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type Kamailio, kamailioExample, kamailioFiles } from '../support/kamailio.js';
import {
  accepted,
  acked,
  answers,
  callee,
  caller,
  canceled,
  hangsUp,
  held,
  hungUp,
  invited,
  invites,
  pause,
  reinvited,
  reinvites,
  type Step,
} from '../support/sip-steps.js';
import { type Counts, left, onTheirRelay } from './calls-counts.js';
import { heard } from './calls-media.js';
import { Phone } from './calls-phones.js';
import type { CallsStage } from './calls-stage.js';

export const calls = 5;
/** The second phone answers so much later. */
const laterMs = 1000;

/** Two phones ring, and only one of them keeps the call. The steps of each are those until the other one is out. */
export interface Fork {
  readonly title: string;
  /** Who has the phones. */
  readonly user: string;
  readonly configuration: string;
  readonly winner: readonly Step[];
  readonly loser: readonly Step[];
  readonly caller: readonly Step[];
}

/** The example to copy. */
export const example = kamailioExample;
/** Every phone has an offer of its own, with a Via branch; a delete names both tags. */
export const branches = join(kamailioFiles, 'forking.cfg');
const first = [invited({ note: 'INVITE' }), answers(200), acked()];
/** It answers as if it had not heard that the other one was faster. */
const second = [invited(), pause(laterMs), answers(200), acked()];
const deaf = ['-pause_msg_ign'];
const both = [invites(), accepted({ note: 'INVITE' }), accepted({ dialog: 'lost' })];

export const forks: readonly Fork[] = [
  {
    title: 'two phones answer, and the slower one hangs up',
    user: 'user-1',
    configuration: example,
    winner: first,
    loser: [...second, hangsUp(callee, { note: 'out' })],
    caller: [...both, hungUp()],
  },
  {
    title: 'two phones answer, and the caller hangs up on the slower one',
    user: 'user-2',
    configuration: branches,
    winner: first,
    loser: [...second, hungUp({ note: 'out' })],
    caller: [...both, hangsUp(caller, { dialog: 'lost' })],
  },
  {
    title: 'one phone has early media, and the other one answers',
    user: 'user-3',
    configuration: branches,
    winner: [invited({ note: 'INVITE' }), pause(laterMs), answers(200), acked()],
    loser: [invited(), answers(183), canceled({ note: 'out' })],
    caller: [invites(), accepted({ note: 'INVITE' })],
  },
];

/** Counts the calls that are answered, that the winner is heard in, that stay on their relay, that end well, and what is left. */
export async function playFork(
  t: ExecutionContext,
  built: CallsStage,
  set: string,
  fork: Fork,
  proxy: Kamailio,
): Promise<Counts> {
  const common = { stage: built, user: fork.user, through: [proxy] };
  const loser = await Phone.ringing(t, { ...common, steps: fork.loser, args: deaf });
  const winner = await Phone.ringing(t, { ...common, steps: [...fork.winner, reinvited(), hungUp()] });
  const rest = [held(), reinvites(caller), held(), hangsUp(caller)];
  const callers = await Phone.calling(t, { ...common, steps: [...fork.caller, ...rest], calls });
  const answered = await callers.reached('INVITE', calls);
  await loser.reached('out', calls);
  const heardAtOnce = await heard(callers, winner, 'INVITE');
  await built.lingerIsOver(set);
  await callers.go();
  await callers.reached('re-INVITE', answered);
  const kept = await onTheirRelay(built, [callers, winner], ['INVITE', 're-INVITE']);
  const heardLater = await heard(callers, winner, 're-INVITE');
  await callers.go('re-INVITE');
  const { succeeded: ended } = await callers.sipp.ended();
  return { answered, heardAtOnce, kept, heardLater, ended, left: await left(built, callers.callIds) };
}
