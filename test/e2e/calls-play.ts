import type { Kamailio } from '../support/kamailio.js';
import type { Scope } from '../support/process.js';
import { caller, hangsUp, held, hungUp, reinvited, reinvites, type Step } from '../support/sip-steps.js';
import { type Counts, left, onTheirRelay } from './calls-counts.js';
import { heard, type Media } from './calls-media.js';
import { Phone } from './calls-phones.js';
import type { CallsStage } from './calls-stage.js';

/** Calls from their first INVITE, noted at both ends, to their BYE. */
export interface Play {
  readonly stage: CallsStage;
  /** The proxies on the way, from the caller on. */
  readonly through: readonly Kamailio[];
  /** Until the call is answered. */
  readonly caller: readonly Step[];
  readonly callee: readonly Step[];
  readonly calls: number;
  /** Who is called; by default `phone`. */
  readonly user?: string;
  /** Begins their Call-IDs. */
  readonly name?: string;
  /** What happens before a re-INVITE; without it there is none. */
  readonly before?: () => Promise<void>;
  /** By default they pass the relay unchanged. */
  readonly media?: Media;
}

/**
 * Counts the calls that are answered, that are on one relay, whose address both parties were told each time, that are heard
 * both ways, that end well, and that a relay still carries afterwards.
 */
export async function play(scope: Scope, what: Play): Promise<Counts> {
  const { stage, through, calls, user = 'phone', name, before, media } = what;
  const common = { stage, user };
  const phone = await Phone.ringing(scope, {
    ...common,
    through: through.toReversed(),
    steps: [...what.callee, ...(before ? [reinvited()] : []), hungUp()],
  });
  const again = before ? [held(), reinvites(caller, { cseq: 8 })] : [];
  const steps = [...what.caller, ...again, held(), hangsUp(caller)];
  const callers = await Phone.calling(scope, {
    ...common,
    through,
    steps,
    calls,
    ...(name === undefined ? {} : { name }),
  });
  const answered = await callers.reached('INVITE', calls);
  let note = 'INVITE';
  if (before) {
    await before();
    await callers.go();
    note = 're-INVITE';
    await callers.reached(note, answered);
  }
  const kept = await onTheirRelay(stage, [callers, phone], ['INVITE', note], through.length);
  const spoken = await heard(callers, phone, note, media);
  await callers.go(note);
  const { succeeded: ended } = await callers.sipp.ended();
  return { answered, kept, heard: spoken, ended, left: await left(stage, callers.callIds) };
}
