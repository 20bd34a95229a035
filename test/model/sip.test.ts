import test from 'ava';
import fc from 'fast-check';
import { fileScope } from '../support/etcd.js';
import { holds } from '../support/property.js';
import { Case, type Event, trace } from './sip-case.js';
import type { SipEvent } from './sip-trace.js';
import { SipWorld } from './sip-world.js';

/** What becomes of the bindings of a call, whatever happens in SIP and to relays. */

const scope = fileScope();
const worlds = {
  'that end calls at once': SipWorld.open(scope, { deleteDelayMs: 0 }),
  'that end calls after a delay': SipWorld.open(scope, { deleteDelayMs: 30_000 }),
};

async function play(world: SipWorld, events: readonly Event[], namesBranches = true): Promise<void> {
  const played = new Case(world, namesBranches);
  try {
    for (const each of events) {
      await played.play(each);
    }
  } finally {
    await played.finish();
  }
}

/** Traces that have gone wrong. */
const sip = (at: number, happens: SipEvent['happens'], overrides: Partial<SipEvent> = {}): Event => ({
  at,
  sip: { happens, branch: 0, by: 'caller', names: { to: true, branch: true }, ...overrides },
});
const traces: Readonly<Record<string, readonly Event[]>> = {
  'a call that has begun again at another replica ends with its own delete': [
    sip(1, 'invite'),
    sip(0, 'reject'),
    sip(0, 'invite'),
    sip(1, 'reject', { branch: 1 }),
  ],
};

for (const [title, opening] of Object.entries(worlds)) {
  for (const [what, events] of Object.entries(traces)) {
    test.serial(`${what}, with relays ${title}`, async (t) => {
      await play(await opening, events);
      t.pass();
    });
  }

  test.serial(`both fronts make one history of a call, with relays ${title}`, async (t) => {
    const world = await opening;
    const property = fc.asyncProperty(trace, ({ events, namesBranches }) =>
      play(world, events, namesBranches),
    );
    await holds(t, property, { runs: 40, limitMs: 6000 });
  });
}
