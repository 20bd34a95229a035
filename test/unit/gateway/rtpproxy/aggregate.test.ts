import test from 'ava';
import { ownRequest } from '../../../../services/control/rtpproxy/request.js';
import type { RegisteredRelay } from '../../../../services/domain/relay.js';
import type { RelayAccess } from '../../../../services/gateway/relay-clients.js';
import { Aggregate } from '../../../../services/gateway/rtpproxy/aggregate.js';
import { ManualClock } from '../../../support/clock.js';
import { aRelay } from '../../../support/registry.js';

const registered = (id: string): RegisteredRelay => ({
  relay: aRelay({ id }),
  revision: 1,
  intent: undefined,
  load: undefined,
  loadHeardAtMs: undefined,
});
const relays = ['r1', 'r2', 'r3'].map(registered);
const infoOf = (sessions: number, load: number) =>
  `sessions created: ${sessions}\nactive sessions: 1\nactive streams: 2\npackets received: 3\npackets transmitted: 4\naverage load: ${load}\n`;

/** Relays that say these words, or nothing. */
function scene(replies: Readonly<Record<string, string | undefined>>) {
  const clock = new ManualClock();
  const asked: string[] = [];
  const clients: Pick<RelayAccess, 'ask'> = {
    ask: async ({ relay }, request) => {
      asked.push(`${relay.id} ${request.body}`);
      const reply = replies[relay.id];
      return reply === undefined
        ? { kind: 'silent', reason: 'no answer' }
        : { kind: 'replied', reply: Buffer.from(reply) };
    },
  };
  const aggregate = new Aggregate(clients, clock);
  const ask = async (command: string, set = 'default') =>
    (await aggregate.answer(ownRequest(command), set, relays)).toString();
  return { clock, asked, ask };
}

test('counts are those of all relays that answer, and at most a second old', async (t) => {
  const { clock, asked, ask } = scene({ r1: infoOf(10, 0.5), r2: undefined, r3: infoOf(32, 1.5) });
  const sum =
    'sessions created: 42\nactive sessions: 2\nactive streams: 4\npackets received: 6\npackets transmitted: 8\n';
  // As a B2BUA asks each second, and others beside it.
  t.deepEqual(await Promise.all([ask('Ib'), ask('I')]), [sum, sum]);
  t.is(await ask('Il'), `${sum}average load: 1.000000\n`);
  t.deepEqual(asked, ['r1 Il', 'r2 Il', 'r3 Il'], 'they are asked once');
  clock.advance(999);
  await ask('Ib');
  t.is(asked.length, 3);
  clock.advance(1);
  await ask('Ib');
  t.is(asked.length, 6);
  await ask('Ib', 'other');
  t.is(asked.length, 9, 'a set has counts of its own');
});

test('a counter that one relay does not know is unknown; relays that say nothing are left out', async (t) => {
  t.is(await scene({ r1: '1 2.5\n', r3: '4 0.5\n' }).ask('G nsess_created total_duration'), '5 3.0\n');
  const named = scene({ r1: 'nsess_created=1\n', r3: 'nsess_created=4\n' });
  t.is(await named.ask('Gv nsess_created'), 'nsess_created=5\n');
  t.is(await scene({ r1: '1\n', r2: 'E68\n', r3: '2\n' }).ask('G pps_in'), 'E68\n');
  t.is(await scene({}).ask('G nsess_created'), 'E997\n');
});
