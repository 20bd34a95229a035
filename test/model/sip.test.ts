import test from 'ava';
import fc from 'fast-check';
import { fileScope } from '../support/etcd.js';
import { holds } from '../support/property.js';
import { Case, crossedTrace, type Event, rtpproxyTrace, trace } from './sip-case.js';
import type { FrontName } from './sip-fronts.js';
import type { SipCallOptions, SipEvent } from './sip-trace.js';
import { SipWorld } from './sip-world.js';

/** What becomes of the bindings of a call, whatever happens in SIP and to relays. */

const scope = fileScope();
const bothFronts: readonly FrontName[] = ['ng', 'grpc'];
const worlds = {
  'that end calls at once': SipWorld.open(scope, { deleteDelayMs: 0 }),
  'that end calls after a delay': SipWorld.open(scope, { deleteDelayMs: 30_000 }),
};

/** @param steps each of what happens at once */
async function play(
  world: SipWorld,
  fronts: readonly FrontName[],
  steps: readonly (readonly Event[])[],
  options: SipCallOptions = { namesBranches: true, forks: 'any' },
): Promise<void> {
  const played = new Case(world, fronts, options);
  try {
    for (const events of steps) {
      await played.play(...events);
    }
  } catch (error) {
    await played.heal();
    world.forgetCalls();
    throw error;
  }
  await played.heal();
  try {
    await played.conclude();
  } finally {
    world.forgetCalls();
  }
}

const sip = (at: number, happens: SipEvent['happens'], overrides: Partial<SipEvent> = {}): Event => ({
  at,
  sip: { happens, branch: 0, by: 'caller', names: { to: true, branch: true }, ...overrides },
});
/** Traces that have gone wrong. */
const traces: Readonly<Record<string, { fronts: readonly FrontName[]; steps: Event[][] }>> = {
  'a call that has begun again at another replica ends with its own delete': {
    fronts: bothFronts,
    steps: [[sip(1, 'invite')], [sip(0, 'reject')], [sip(0, 'invite')], [sip(1, 'reject', { branch: 1 })]],
  },
  'a call that its relay has timed out ends with its delete': {
    fronts: bothFronts,
    steps: [
      [sip(0, 'invite')],
      [sip(0, 'accept')],
      [{ relay: 'r1', what: 'times calls out' }],
      [sip(1, 'bye')],
    ],
  },
  'a branch whose delete the relay answers late is not the end of the call': {
    fronts: bothFronts,
    steps: [
      [sip(1, 'invite')],
      [sip(0, 'invite')],
      [sip(1, 'accept')],
      [sip(0, 'accept', { branch: 1 })],
      [{ relay: 'r1', what: 'pauses' }],
      [sip(1, 'bye', { branch: 1 })],
      [{ relay: 'r1', what: 'resumes' }],
    ],
  },
};

for (const [title, opening] of Object.entries(worlds)) {
  for (const [what, { fronts, steps }] of Object.entries(traces)) {
    test.serial(`${what}, with relays ${title}`, async (t) => {
      await play(await opening, fronts, steps);
      t.pass();
    });
  }

  test.serial(`both fronts make one history of a call, with relays ${title}`, async (t) => {
    const world = await opening;
    const property = fc.asyncProperty(trace, ({ events, namesBranches }) =>
      play(world, bothFronts, events, { namesBranches, forks: 'any' }),
    );
    await holds(t, property, { runs: 25 });
  });

  test.serial(`what proxies ask at once loses no call, with relays ${title}`, async (t) => {
    const world = await opening;
    const property = fc.asyncProperty(crossedTrace, ({ events, namesBranches }) =>
      play(world, ['ng'], events, { namesBranches, forks: 'any' }),
    );
    await holds(t, property, { runs: 25 });
  });
}

test.serial('rtpproxy makes the same history of a call', async (t) => {
  // An rtpproxy ends calls at once.
  const world = await worlds['that end calls at once'];
  const property = fc.asyncProperty(rtpproxyTrace, ({ events, options }) =>
    play(world, [...bothFronts, 'rtpproxy'], events, options),
  );
  await holds(t, property, { runs: 25 });
});
