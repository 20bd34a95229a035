import { eventually } from '../support/registry.js';
import { testWith } from '../support/requirement.js';
import {
  accepted,
  acked,
  answers,
  caller,
  hangsUp,
  held,
  hungUp,
  invited,
  invites,
  reinvited,
  reinvites,
} from '../support/sip-steps.js';
import { startSippy } from '../support/sippy.js';
import { Phone } from './calls-phones.js';
import { CallsStage } from './calls-stage.js';
import { carriedInAll } from './gateway-census.js';
import { tally } from './gateway-sums.js';

const programs = ['etcd', 'rtp-io', 'python3', 'sippy', 'sipp'];
const set = 'sippy';
const calls = 50;

/** The Call-ID as the B2BUA names its first stream to an rtpproxy, and the callee's leg. */
const streamOf = (callId: string) => `${callId}-0`;

testWith.serial(programs, 'rtpproxy: 50 calls through Sippy’s B2BUA, both legs on one relay', async (t) => {
  const built = await CallsStage.start(t, [
    { id: 'sippy-1', kind: 'rtpproxy', set },
    { id: 'sippy-2', kind: 'rtpproxy', set },
    { id: 'sippy-3', kind: 'builtin', set },
  ]);
  const common = { stage: built, user: 'phone' };
  const phone = await Phone.ringing(t, {
    ...common,
    through: [],
    steps: [invited({ note: 'INVITE' }), answers(200), acked(), reinvited(), hungUp()],
  });
  const b2bua = await startSippy(t, {
    directory: built.directory,
    rtpproxy: `udp:127.0.0.1:${built.port(set, 0, 'rtpproxy')}`,
    callee: `127.0.0.1:${phone.sipp.port}`,
  });
  const through = [b2bua];
  const begins = [invites(), accepted({ note: 'INVITE' })];
  // It serves no call before it has asked the gateway what that can do.
  await eventually(async () => {
    const steps = [...begins, reinvites(caller), hangsUp(caller)];
    const first = await Phone.calling(t, { ...common, through, steps, calls: 1 });
    return (await first.sipp.ended()).succeeded === 1;
  }, 'a call');
  await eventually(async () => (await carriedInAll(built.relays)) === 0, 'end of it');

  const steps = [...begins, held(), reinvites(caller), held(), hangsUp(caller)];
  const callers = await Phone.calling(t, { ...common, through, steps, calls });
  t.is(await callers.reached('INVITE', calls), calls);
  const bound = async () => {
    const relays = new Map<string, string>();
    for (const { id } of built.of(set)) {
      for await (const { callId, released } of built.client.listBindings(set, id)) {
        if (!released) {
          relays.set(callId, id);
        }
      }
    }
    return relays;
  };
  const relays = await bound();
  t.deepEqual([...relays.keys()].sort(), callers.callIds.map(streamOf).sort());
  t.log(`calls by relay: ${tally(relays.values())}`);
  t.is(new Set(relays.values()).size, 3);
  // A leg on another relay would be a session of its own there.
  for (const relay of built.relays) {
    const own = [...relays.values()].filter((id) => id === relay.id).length;
    t.is(await relay.sessions(), own, relay.id);
  }
  await callers.go();
  t.is(await callers.reached('re-INVITE', calls), calls);
  t.deepEqual(await bound(), relays);
  await callers.go('re-INVITE');
  const { succeeded, failed, errors } = await callers.sipp.ended();
  t.is(failed, 0, errors.slice(0, 3000));
  t.is(succeeded, calls);
  await eventually(async () => (await carriedInAll(built.relays)) === 0, 'end of all calls');
});
