import { parseCall } from '../../../services/domain/call.js';
import type { HoldfastEvent } from '../../../services/domain/events.js';
import type { RegisteredRelay } from '../../../services/domain/relay.js';
import type { Answer } from '../../../services/selection/requests.js';
import { behaviors } from '../../support/etcd.js';
import { FakeInquiry } from '../../support/fake-inquiry.js';
import { aRelay, ask, deleteRelay, putRelay, type TestSelector, where } from '../../support/registry.js';
import { aMove, known, scene } from './scene.js';

/** Calls that a relay carries and etcd does not know, or knows elsewhere. */

const behavior = behaviors();
const relayOf = ({ directory }: TestSelector, id: string, set = 'default') =>
  directory.get(set, id) as RegisteredRelay;

behavior(
  'a call that a relay carries is adopted by whoever asks within its dialog',
  async (t, client, etcd) => {
    const inquiry = new FakeInquiry();
    const { a, b } = await scene(t, client, etcd, { inquiry });
    for (const id of ['looked-up', 'selected', 'offered']) {
      inquiry.carry('r2', id, 100);
    }
    const told: HoldfastEvent[] = [];
    a.events.subscribe((event) => told.push(event));
    t.is(await a.selector.lookup(parseCall('looked-up')), undefined, 'only where that is wanted');
    t.is(inquiry.asked, 0);
    const answers = [
      await a.selector.lookup(parseCall('looked-up'), { adopts: true }),
      await a.selector.select(ask('selected', { inDialog: true })),
      await a.selector.select(ask('offered', { maybeCarried: true })),
    ];
    for (const answer of answers) {
      t.is(where(answer as Answer), 'r2/life-of-r2/1');
      t.like(answer?.binding, { state: 'answered', ttlSeconds: 3600, moves: [] });
    }
    t.deepEqual(
      told.map(({ type }) => type),
      ['callAdopted', 'callAdopted', 'callAdopted'],
    );
    const asked = inquiry.asked;
    for (const id of ['looked-up', 'selected', 'offered']) {
      t.is(where((await b.selector.lookup(parseCall(id), { adopts: true })) as Answer), 'r2/life-of-r2/1');
    }
    t.is(inquiry.asked, asked, 'now etcd knows it');
  },
);

behavior('a new call is placed without asking any relay', async (t, client, etcd) => {
  const inquiry = new FakeInquiry();
  const { a } = await scene(t, client, etcd, { inquiry, replicas: 1 });
  t.like((await a.selector.select(ask('new'))).binding, { state: 'setup', generation: 1 });
  t.is(inquiry.asked, 0);
});

behavior(
  'a call whose key somebody has deleted goes on where it is, at whoever remembers it',
  async (t, client, etcd) => {
    const inquiry = new FakeInquiry();
    const { a, keys } = await scene(t, client, etcd, { inquiry, replicas: 1 });
    const began = await a.selector.select(ask('deleted', { constraints: { target: 'r3' } }));
    await a.selector.move(aMove({ call: began.binding.call, constraints: { target: 'r2' } }));
    const { binding } = (await a.selector.answered(began.binding.call, {
      beginning: began.binding.beginning,
    })) as Answer;
    inquiry.carry('r2', 'deleted');
    const deleteKey = () => client.kv.deleteRange({ key: keys.call(binding.call) });
    const uses = [
      () => a.selector.select(ask('deleted')),
      () => a.selector.lookup(binding.call, { adopts: true, current: true }),
    ];
    for (const use of uses) {
      await deleteKey();
      const answer = (await use()) as Answer;
      t.is(where(answer), 'r2/life-of-r2/2');
      t.like(answer.binding, { state: 'answered', beginning: binding.beginning });
    }
    inquiry.end('r2', 'deleted');
    await deleteKey();
    t.like((await a.selector.select(ask('deleted', { requestId: 'anew' }))).binding, {
      ...{ state: 'setup', generation: 1, beginning: 'anew' },
    });
  },
);

behavior(
  'a call that no relay knows, or of which none speaks, is placed or unknown',
  async (t, client, etcd) => {
    const inquiry = new FakeInquiry();
    const { a } = await scene(t, client, etcd, { inquiry, replicas: 1 });
    inquiry.carry('r2', 'hidden');
    for (const id of ['r1', 'r2', 'r3']) {
      inquiry.silent.add(id);
    }
    t.is(await a.selector.lookup(parseCall('hidden'), { adopts: true }), undefined);
    t.is((await a.selector.select(ask('unheard', { maybeCarried: true }))).binding.state, 'setup');
    inquiry.silent.clear();
    t.is(await a.selector.lookup(parseCall('nowhere'), { adopts: true }), undefined);
    t.is((await a.selector.select(ask('unknown', { maybeCarried: true }))).binding.state, 'setup');
  },
);

behavior(
  'where two relays carry it, the one whose media flows has it, and that is told',
  async (t, client, etcd) => {
    const inquiry = new FakeInquiry();
    const { a } = await scene(t, client, etcd, { inquiry, replicas: 1 });
    inquiry.carry('r1', 'twice', 3);
    inquiry.carry('r3', 'twice', 4000);
    const told: HoldfastEvent[] = [];
    a.events.subscribe((event) => told.push(event));
    t.is((await a.selector.lookup(parseCall('twice'), { adopts: true }))?.binding.relayId, 'r3');
    t.like(told.find(({ type }) => type === 'callOnTwoRelays')?.details, {
      callId: 'twice',
      relays: ['r3', 'r1'],
      kept: 'r3',
    });
  },
);

behavior('a call is adopted in the set of the relay that carries it', async (t, client, etcd) => {
  const inquiry = new FakeInquiry();
  const { a, b, keys } = await scene(t, client, etcd, { inquiry });
  await putRelay(client, keys, aRelay({ id: 'r9', set: 'edge' }));
  await b.directory.refresh();
  await a.directory.refresh();
  for (const id of ['forgotten-set', 'other-set']) {
    inquiry.carry('r9', id);
  }
  const adopted = await a.selector.lookup(parseCall('forgotten-set'), { adopts: true });
  t.is(adopted?.binding.call.set, 'edge');
  t.is(adopted?.relay?.relay.set, 'edge');
  t.is((await b.selector.lookup(parseCall('forgotten-set', '', 'edge')))?.binding.relayId, 'r9');
  t.is((await b.selector.lookup(parseCall('forgotten-set')))?.binding.call.set, 'edge');
  t.is(await a.selector.lookup(parseCall('other-set', '', 'default'), { adopts: true }), undefined);
});

behavior('replicas that adopt one call at once make one binding', async (t, client, etcd) => {
  const inquiry = new FakeInquiry();
  const { selectors } = await scene(t, client, etcd, { inquiry, replicas: 3 });
  for (let i = 0; i < 20; i++) {
    const id = `at-once-${i}`;
    inquiry.carry('r1', id);
    const answers = await Promise.all(
      selectors.flatMap(({ selector }) => [
        selector.lookup(parseCall(id), { adopts: true }),
        selector.select(ask(id, { inDialog: true })),
      ]),
    );
    t.deepEqual([...new Set(answers.map((answer) => answer && where(answer)))], ['r1/life-of-r1/1']);
  }
});

behavior('a call that is bound to a living relay stays there, whoever claims it', async (t, client, etcd) => {
  const { a, b } = await scene(t, client, etcd);
  const call = parseCall('claimed');
  const first = await a.selector.select(ask(call, { constraints: { target: 'r1' } }));
  for (const replica of [a, b]) {
    t.is(where(await replica.selector.adopt(call, relayOf(replica, 'r2'))), where(first));
  }
  t.like((await a.store.read(call)).binding, { relayId: 'r1', state: 'setup', generation: 1 });
});

behavior('one that is being set up goes where it was answered', async (t, client, etcd) => {
  const { a, b } = await scene(t, client, etcd);
  const call = parseCall('answered-elsewhere');
  await a.selector.select(ask(call, { constraints: { target: 'r1' } }));
  const adopted = await b.selector.adopt(call, relayOf(b, 'r2'), { duringSetup: true });
  t.is(where(adopted), 'r2/life-of-r2/2');
  t.is(adopted.binding.state, 'answered');
  t.is(where(await a.selector.adopt(call, relayOf(a, 'r3'), { duringSetup: true })), where(adopted));
});

behavior(
  'one that has ended while it was looked for stays ended, also if its relay is gone',
  async (t, client, etcd) => {
    const { a, b, keys } = await scene(t, client, etcd);
    const call = parseCall('over');
    await a.selector.select(ask(call, { constraints: { target: 'r1' } }));
    await a.selector.release(call);
    await deleteRelay(client, keys, aRelay({ id: 'r1' }));
    await known([a, b], 'r1', undefined);
    const { binding } = await b.selector.adopt(call, relayOf(b, 'r2'), { duringSetup: true });
    t.like(binding, { relayId: 'r1', state: 'released', generation: 1 });
  },
);

behavior(
  'one that is bound to an instance that is gone goes to its carrier, one generation up',
  async (t, client, etcd) => {
    const { a, b, keys } = await scene(t, client, etcd);
    const call = parseCall('orphaned');
    const first = await a.selector.select(ask(call, { constraints: { target: 'r1' } }));
    await b.selector.lookup(call);
    await deleteRelay(client, keys, aRelay({ id: 'r1' }));
    await known([a, b], 'r1', undefined);
    const adopted = await b.selector.adopt(call, relayOf(b, 'r3'));
    t.is(where(adopted), 'r3/life-of-r3/2');
    t.like(adopted.binding, { state: 'answered', createdAtMs: first.binding.createdAtMs });
    t.like(adopted.binding.moves[0], { from: 'r1', reason: 'found there' });
    t.is(where(await a.selector.select(ask(call))), where(adopted));
  },
);

behavior('nobody is bound to a carrier that is not registered any more', async (t, client, etcd) => {
  const { a, keys } = await scene(t, client, etcd, { replicas: 1 });
  const gone = relayOf(a, 'r2');
  await a.directory.stop();
  await deleteRelay(client, keys, gone.relay);
  await t.throwsAsync(a.selector.adopt(parseCall('too-late'), gone), { message: /changed|registered/ });
  t.is((await a.store.read(parseCall('too-late'))).binding, undefined);
});
