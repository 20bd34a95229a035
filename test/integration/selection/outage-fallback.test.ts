import type { ExecutionContext } from 'ava';
import { parseCall } from '../../../services/domain/call.js';
import type { HoldfastError } from '../../../services/domain/error.js';
import type { HoldfastEvent } from '../../../services/domain/events.js';
import type { Answer } from '../../../services/selection/requests.js';
import { behaviors, connect } from '../../support/etcd.js';
import { FakeInquiry } from '../../support/fake-inquiry.js';
import {
  aRelay,
  ask,
  deleteRelay,
  errorOf,
  eventually,
  newKeyspace,
  putRelay,
  type SelectorOptions,
  startSelector,
  where,
} from '../../support/registry.js';
import { putLoad } from '../../support/replica.js';
import { TcpProxy } from '../../support/tcp-proxy.js';
import { replaced, wipe } from './history.js';

const behavior = behaviors();
const many = Array.from({ length: 40 }, (_, i) => `call-${i}`);
const relayOf = ({ binding }: Answer) => binding.relayId;

/** Relays, and two replicas that reach etcd through one proxy each. */
async function scene(t: ExecutionContext, endpoint: string, options: SelectorOptions = {}) {
  const client = connect(t, endpoint);
  const keys = newKeyspace();
  for (const id of ['r1', 'r2', 'r3']) {
    await putRelay(client, keys, aRelay({ id }));
    // With it a relay is chosen by load, which replicas do not agree about.
    await putLoad(client, keys, id, { calls: 10 });
  }
  const open = async () => {
    const proxy = await TcpProxy.start(t, endpoint);
    const replica = await startSelector(t, proxy.endpoint, { keys, timeoutMs: 500, ...options });
    const told: HoldfastEvent[] = [];
    replica.events.subscribe((event) => told.push(event));
    return { ...replica, proxy, told };
  };
  const [one, two] = [await open(), await open()];
  const lose = async () => {
    for (const { proxy } of [one, two]) {
      proxy.cut();
    }
    for (const { selector, quorum } of [one, two]) {
      await errorOf(selector.lookup(parseCall('the-first-to-notice')));
      await eventually(() => quorum.lost !== undefined, 'loss');
    }
  };
  const loseOne = async () => {
    one.proxy.cut();
    await errorOf(one.selector.lookup(parseCall('the-first-to-notice')));
    await eventually(() => one.quorum.lost !== undefined, 'loss');
  };
  const comeBack = async () => {
    for (const { proxy } of [one, two]) {
      proxy.restore();
    }
    for (const { quorum, directory, moves, selector } of [one, two]) {
      await eventually(
        () => !quorum.lost && directory.live && moves.live && selector.provisionalBindings === 0,
        'etcd, and all promises kept',
      );
    }
  };
  return { client, keys, one, two, lose, loseOne, comeBack };
}

behavior(
  'without etcd replicas agree on new calls, and bind them there later',
  async (t, _, { endpoint }) => {
    const { one, two, lose, comeBack } = await scene(t, endpoint);
    await lose();
    const sent = one.commits.counters.commits;
    const promised = await Promise.all(many.map((id) => one.selector.select(ask(id, { requestId: id }))));
    for (const answer of promised) {
      t.is(answer.freshness, 'provisional');
      t.is(answer.origin, 'new');
      t.is(answer.binding.generation, 0);
    }
    t.is(new Set(promised.map(relayOf)).size, 3, 'spread over all relays');
    const elsewhere = await Promise.all(many.map((id) => two.selector.select(ask(id))));
    t.deepEqual(elsewhere.map(relayOf), promised.map(relayOf));
    t.is(one.commits.counters.commits, sent, 'nobody waits for etcd');

    await comeBack();
    for (const [i, id] of many.entries()) {
      const bound = await two.selector.select(ask(id));
      t.is(bound.freshness, 'fresh');
      t.is(where(bound), `${relayOf(promised[i] as Answer)}/life-of-${relayOf(promised[i] as Answer)}/1`);
    }
    const { counters } = one.selector;
    t.is(counters.kept + two.selector.counters.kept, 2 * many.length, 'each kept its own promises');
    t.is(counters.conflicts, 0);
  },
);

behavior(
  'a binding that exists wins over a promise, and the conflict is told',
  async (t, client, { endpoint }) => {
    const { keys, one, two, lose, comeBack } = await scene(t, endpoint);
    await lose();
    const [first, second] = [
      await one.selector.select(ask('torn', { constraints: { excluded: ['r1', 'r2'] } })),
      await two.selector.select(ask('torn', { constraints: { excluded: ['r3'] } })),
    ];
    t.is(relayOf(first), 'r3');
    await comeBack();
    const conflicts = [one, two].filter(({ selector }) => selector.counters.conflicts === 1);
    t.is(conflicts.length, 1, 'one of them had to give way');
    const [bound] = (await client.kv.range({ key: keys.call(parseCall('torn')) })).kvs;
    const { relay, generation } = JSON.parse(String(bound?.value));
    t.is(generation, 1);
    const loser = relay === 'r3' ? relayOf(second) : 'r3';
    const [event] = conflicts[0]?.told.filter(({ type }) => type === 'promiseBroken') ?? [];
    t.like(event?.details, { callId: 'torn', promised: loser, relay, because: 'bound elsewhere' });
    for (const { selector } of [one, two]) {
      t.is(relayOf(await selector.select(ask('torn'))), relay);
    }
  },
);

behavior(
  'a call that may be bound already is promised the relay it was tried on',
  async (t, client, { endpoint }) => {
    const { keys, one, comeBack } = await scene(t, endpoint);
    // What was sent is delivered in the end: after its sender has given it up.
    one.proxy.freeze();
    const answers = await Promise.all(many.map((id) => one.selector.select(ask(id))));
    for (const { freshness } of answers) {
      t.is(freshness, 'provisional');
    }
    await comeBack();
    t.is(one.selector.counters.conflicts, 0);
    for (const [i, id] of many.entries()) {
      const [kv] = (await client.kv.range({ key: keys.call(parseCall(id)) })).kvs;
      t.like(JSON.parse(String(kv?.value)), { relay: relayOf(answers[i] as Answer), generation: 1 });
    }
  },
);

behavior('a promise outlives the loss, but not its relay', async (t, client, { endpoint }) => {
  const { keys, one, lose, comeBack } = await scene(t, endpoint);
  await lose();
  const { binding } = await one.selector.select(ask('kept'));
  t.is((await one.selector.lookup(parseCall('kept')))?.binding.relayId, binding.relayId);
  await deleteRelay(client, keys, aRelay({ id: binding.relayId }));
  await comeBack();
  const bound = await one.selector.select(ask('kept'));
  t.not(relayOf(bound), binding.relayId);
  t.is(bound.binding.generation, 1);
  t.is(one.selector.counters.relaysGone, 1);
});

behavior(
  'a relay whose lease ran out meanwhile keeps what it was promised',
  async (t, client, { endpoint }) => {
    const { keys, one, lose, comeBack } = await scene(t, endpoint);
    const old = await one.selector.select(ask('bound-before'));
    await lose();
    const promised = await one.selector.select(ask('promised'));
    for (const id of ['r1', 'r2', 'r3']) {
      await deleteRelay(client, keys, aRelay({ id }));
    }
    one.proxy.restore();
    await eventually(() => one.directory.suspectCount === 3, 'doubt');
    const during = await one.selector.select(ask('promised'));
    t.is(during.freshness, 'provisional');
    t.is(relayOf(during), relayOf(promised));
    t.is(where(await one.selector.select(ask('bound-before'))), where(old));
    // Whether etcd counts as lost still is a matter of chance.
    const fresh = await Promise.resolve(one.selector.select(ask('new'))).catch(
      (error: HoldfastError) => error,
    );
    const word = 'freshness' in fresh ? fresh.freshness : fresh.code;
    t.true(['relay-awaited', 'provisional'].includes(word), 'none is bound to a relay that is absent');
    // Their relay nodes hear etcd again, too.
    for (const id of ['r1', 'r2', 'r3']) {
      await putRelay(client, keys, aRelay({ id }));
    }
    await comeBack();
    t.is(
      where(await one.selector.select(ask('promised'))),
      `${relayOf(promised)}/life-of-${relayOf(promised)}/1`,
    );
    t.is(where(await one.selector.select(ask('bound-before'))), where(old));
    t.is(one.selector.counters.relaysGone, 0);
    t.is(one.selector.counters.moved, 0);
  },
);

behavior('what the gateway asks finds a call that another replica promised', async (t, _, { endpoint }) => {
  const { one, two, lose, comeBack } = await scene(t, endpoint);
  await lose();
  const call = parseCall('offered-here-answered-there');
  const offered = await one.selector.select(ask(call));
  t.is(await errorOf(two.selector.lookup(call)), 'unavailable', 'of itself it knows nothing of the call');
  t.is((await two.selector.lookup(call, { predicts: true }))?.freshness, 'provisional');
  t.is(two.selector.provisionalBindings, 0, 'to look is not to promise');
  const answered = await two.selector.lookup(call, { predicts: true, keepSeconds: 3600 });
  t.is(answered && relayOf(answered), relayOf(offered));
  await comeBack();
  const bound = await two.selector.lookup(call);
  t.is(bound && relayOf(bound), relayOf(offered));
  t.true((bound?.binding.ttlSeconds ?? 0) >= 3600 || one.selector.counters.kept === 1);
});

behavior(
  'a call in progress that is unknown here is found on its relay, without etcd too',
  async (t, _, { endpoint }) => {
    const inquiry = new FakeInquiry();
    const { one, two, lose, comeBack } = await scene(t, endpoint, { inquiry });
    const ids = many.slice(0, 10);
    await lose();
    for (const id of ids) {
      inquiry.carry('r2', id);
    }
    for (const [i, id] of ids.entries()) {
      const use = i % 2 ? { inDialog: true } : { maybeCarried: true };
      const answer = await one.selector.select(ask(id, use));
      t.is(answer.freshness, 'provisional');
      t.like(answer.binding, { relayId: 'r2', state: 'answered' });
      t.is(
        (await two.selector.lookup(parseCall(id), { adopts: true, predicts: true }))?.relay?.relay.id,
        'r2',
      );
    }
    const { asked } = inquiry;
    await one.selector.select(ask('new'));
    t.is(inquiry.asked, asked, 'what is new is not looked for');
    await comeBack();
    for (const id of ids) {
      t.like((await two.selector.select(ask(id, { inDialog: true }))).binding, {
        relayId: 'r2',
        state: 'answered',
        generation: 1,
      });
    }
  },
);

behavior(
  'a call that was promised and answered keeps the relay that carries it, though it is being set up elsewhere',
  async (t, _, { endpoint }) => {
    const inquiry = new FakeInquiry();
    const { one, two, loseOne, comeBack } = await scene(t, endpoint, { inquiry });
    const ids = many.slice(0, 10);
    const onR3 = { constraints: { excluded: ['r1', 'r2'] } };
    const [silent, leftover, answeredThere] = ['carried-by-none', 'left-by-an-offer', 'answered-there'];
    const beginnings = new Map<string, string>();
    await loseOne();
    for (const id of [...ids, silent, leftover, answeredThere]) {
      await one.selector.select(ask(id, onR3));
      const answered = await one.selector.select(ask(id, { inDialog: true }));
      t.like(answered.binding, { relayId: 'r3', state: 'answered', generation: 0 });
      const use = { constraints: { excluded: ['r3'] }, inDialog: id === answeredThere };
      const other = await two.selector.select(ask(id, use));
      const bound = relayOf(other);
      t.not(bound, 'r3');
      beginnings.set(id, other.binding.beginning);
      if (id === leftover) {
        inquiry.carry(bound === 'r1' ? 'r2' : 'r1', id);
      } else if (id !== silent) {
        inquiry.carry('r3', id);
      }
    }
    await comeBack();
    for (const id of ids) {
      for (const { selector } of [one, two]) {
        const { binding } = await selector.select(ask(id, { inDialog: true }));
        const beginning = beginnings.get(id) as string;
        t.like(binding, { relayId: 'r3', state: 'answered', generation: 2, beginning }, id);
      }
    }
    t.is(one.selector.counters.kept, ids.length);
    for (const id of [silent, leftover, answeredThere]) {
      const { binding } = await one.selector.select(ask(id, { inDialog: true }));
      t.is(binding.generation, 1, id);
    }
    t.is(one.selector.counters.conflicts, 3);
  },
);

behavior(
  'a call that is looked up before its promise is bound is where it was answered',
  async (t, _, { endpoint }) => {
    const inquiry = new FakeInquiry();
    const { one, two, loseOne } = await scene(t, endpoint, { inquiry });
    await loseOne();
    const call = parseCall('asked-first');
    await one.selector.select(ask(call, { constraints: { excluded: ['r1', 'r2'] } }));
    await one.selector.select(ask(call, { inDialog: true }));
    await two.selector.select(ask(call, { constraints: { excluded: ['r3'] } }));
    inquiry.carry('r3', call);
    one.proxy.restore();
    await eventually(() => !one.quorum.lost, 'etcd');
    const found = await one.selector.lookup(call);
    t.like(found?.binding, { relayId: 'r3', state: 'answered' });
    await eventually(async () => (await one.selector.lookup(call))?.freshness === 'fresh', 'binding');
    const bound = async () => (await two.selector.lookup(call))?.binding;
    await eventually(async () => (await bound())?.generation === 2, 'news of the move');
    t.is((await bound())?.relayId, 'r3');
  },
);

behavior(
  'a promise is no reason to leave the relay that carries the call',
  async (t, client, { endpoint }) => {
    const inquiry = new FakeInquiry();
    const { keys, one, two, lose, comeBack } = await scene(t, endpoint, { inquiry });
    const call = parseCall('elsewhere');
    await two.selector.select(ask(call, { inDialog: true, constraints: { target: 'r3' } }));
    inquiry.carry('r3', call);
    await lose();
    for (const id of ['elsewhere', 'new']) {
      const use = { constraints: { excluded: ['r1', 'r3'] } };
      t.is(relayOf(await one.selector.select(ask(id, use))), 'r2');
    }
    inquiry.carry('r2', 'new');
    await wipe(client, keys);
    one.selector.beginHistory(replaced);
    await comeBack();
    t.like((await one.selector.lookup(call))?.binding, { relayId: 'r3', state: 'answered', generation: 1 });
    t.is(
      (await one.selector.lookup(parseCall('new')))?.binding.state,
      'setup',
      'it has not been answered yet',
    );
  },
);

behavior('a call that was released begins again without etcd', async (t, _, { endpoint }) => {
  const { one, two, lose, comeBack } = await scene(t, endpoint);
  const call = parseCall('again');
  const first = await one.selector.select(ask(call));
  await one.selector.release(call);
  await lose();
  const late = await one.selector.select(ask(call, { inDialog: true }));
  t.like(
    late,
    { freshness: 'stale', binding: { state: 'released' } },
    'what is in the dialog is no new call',
  );
  const again = await one.selector.select(ask(call));
  t.is(relayOf(again), relayOf(first), 'on its relay');
  t.like(again, { freshness: 'provisional', binding: { state: 'setup' } });
  t.not(again.binding.beginning, first.binding.beginning);
  t.is((await one.selector.lookup(call))?.freshness, 'provisional');
  await comeBack();
  const { binding } = await two.selector.select(ask(call, { inDialog: true }));
  t.like(binding, { relayId: relayOf(first), state: 'answered', beginning: again.binding.beginning });
  t.is(one.selector.counters.conflicts, 0);
});

behavior('a call that ends without etcd is not bound afterwards', async (t, client, { endpoint }) => {
  const { keys, one, lose, comeBack } = await scene(t, endpoint);
  await one.selector.select(ask('bound-before'));
  await lose();
  await one.selector.select(ask('short'));
  t.is(
    await errorOf(one.selector.release(parseCall('short'), { beginning: 'the one before' })),
    'unavailable',
  );
  t.true(await one.selector.release(parseCall('short')));
  t.is(await errorOf(one.selector.release(parseCall('unknown'))), 'unavailable');
  t.is(await errorOf(one.selector.release(parseCall('bound-before'))), 'unavailable');
  await comeBack();
  t.deepEqual((await client.kv.range({ key: keys.call(parseCall('short')) })).kvs, []);
  t.true(await one.selector.release(parseCall('bound-before')));
});

behavior('in strict mode new calls are refused at once, known ones answered', async (t, _, { endpoint }) => {
  const { one, lose, comeBack } = await scene(t, endpoint, { withoutQuorum: 'strict' });
  const known = await one.selector.select(ask('known'));
  await lose();
  t.is(await errorOf(one.selector.select(ask('new'))), 'unavailable');
  t.is(await errorOf(one.selector.lookup(parseCall('new'), { predicts: true })), 'unavailable');
  const stale = await one.selector.select(ask('known'));
  t.is(stale.freshness, 'stale');
  t.is(where(stale), where(known));
  await comeBack();
  t.is((await one.selector.select(ask('known'))).freshness, 'fresh');
  t.is((await one.selector.select(ask('new'))).freshness, 'fresh');
});

behavior('an etcd that is frozen is lost as well, and each loss is told once', async (t, _, { endpoint }) => {
  const { one, comeBack } = await scene(t, endpoint);
  for (let round = 1; round <= 2; round++) {
    one.proxy.freeze();
    t.is((await one.selector.select(ask(`new-${round}`))).freshness, 'provisional');
    await comeBack();
  }
  const told = one.told.map(({ type }) => type).filter((type) => ['etcdLost', 'etcdBack'].includes(type));
  t.deepEqual(told, ['etcdLost', 'etcdBack', 'etcdLost', 'etcdBack']);
  t.like(one.told.find(({ type }) => type === 'etcdLost')?.details, { newCalls: 'provisional' });
});
