import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { selfHost } from '../../services/control/rtpproxy/notify-socket.js';
import { rtpproxyGateway } from '../integration/gateway/rtpproxy-scene.js';
import { freeTcpPort } from '../support/ports.js';
import { eventually } from '../support/registry.js';
import { testWith } from '../support/requirement.js';
import { startRtpproxy } from '../support/rtpproxy.js';
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
import { sippySocket, startSippy } from '../support/sippy.js';
import { Phone } from './calls-phones.js';
import { CallsStage } from './calls-stage.js';
import { carriedInAll } from './gateway-census.js';
import { tally } from './gateway-sums.js';
import { ownTurn } from './gateway-turn.js';

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

testWith.serial(
  programs,
  'rtpproxy: Sippy’s B2BUA ends the calls whose media have timed out, and those of a relay that is lost',
  async (t) => {
    await ownTurn(t);
    const directory = await mkdtemp(join(tmpdir(), 'holdfast-sippy-'));
    t.teardown(() => rm(directory, { recursive: true, force: true }));
    const port = await freeTcpPort();
    const [lost, quiet] = await Promise.all(
      [600, 5].map((ttl) =>
        startRtpproxy(t, { engine: ['-l', '127.0.0.1', '-T', `${ttl}`, '-n', `tcp:${selfHost}:${port}`] }),
      ),
    );
    const relays = [lost, quiet].map((engine, i) => ({
      id: `r${i + 1}`,
      controlUrl: engine?.controlUrl ?? '',
    }));
    const gateway = await rtpproxyGateway(t, relays, {
      HOLDFAST_RTPPROXY_NOTIFY: `unix:${sippySocket(directory)}`,
      HOLDFAST_RTPPROXY_NOTIFY_LISTEN: `127.0.0.1:${port}`,
    });
    const common = { stage: { directory }, user: 'phone' };
    const phone = await Phone.ringing(t, {
      ...common,
      through: [],
      steps: [invited({ note: 'INVITE' }), answers(200), acked(), hungUp()],
    });
    const b2bua = await startSippy(t, {
      directory,
      rtpproxy: `udp:127.0.0.1:${gateway.port}`,
      callee: `127.0.0.1:${phone.sipp.port}`,
    });
    const begin = async (count: number) =>
      Phone.calling(t, {
        ...common,
        through: [b2bua],
        steps: [invites(), accepted({ note: 'INVITE' }), hungUp()],
        calls: count,
      });
    let callers = await begin(3);
    await eventually(async () => {
      // It serves no call before it has asked the gateway what that can do.
      const answered = await callers.reached('INVITE', 3);
      callers = answered === 3 ? callers : await begin(3);
      return answered === 3;
    }, 'calls');
    await lost?.kill();
    await gateway.client.kv.deleteRange({ key: gateway.keys.relay('default', 'r1') });
    t.like(await callers.sipp.ended(), { succeeded: 3, failed: 0 }, 'the B2BUA has hung up');

    const later = await begin(3);
    t.is(await later.reached('INVITE', 3), 3);
    t.is((await gateway.bindingOf(streamOf(later.callIds[0] ?? '')))?.relay, 'r2');
    t.like(await later.sipp.ended(), { succeeded: 3, failed: 0 });
    t.like(gateway.replica.gatewayCounters('rtpproxy'), { noticesLost: 0, noticesUnknown: 0 });
  },
);
