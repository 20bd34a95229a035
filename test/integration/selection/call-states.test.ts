import { isVersionOf } from '../../../services/domain/binding.js';
import { parseCall } from '../../../services/domain/call.js';
import type { HoldfastEvent } from '../../../services/domain/events.js';
import { systemClock } from '../../../services/runtime/clock.js';
import type { Answer } from '../../../services/selection/requests.js';
import { behaviors } from '../../support/etcd.js';
import { ask, deleteRelay, errorOf, eventually, where } from '../../support/registry.js';
import { aMove, known, lifeOf, scene } from './scene.js';

/** Setup, answered, released, and begun again: what each use makes of a call, at the replica that knows and at the one that does not. */

const behavior = behaviors();

behavior(
  'a call is being set up until it is answered, which a use does not undo',
  async (t, client, etcd) => {
    const { a, b } = await scene(t, client, etcd);
    const call = parseCall('answered');
    const first = await a.selector.select(ask(call));
    t.is(first.binding.state, 'setup');
    t.is(first.binding.beginning, first.binding.requestId);
    t.is((await b.selector.select(ask(call))).binding.state, 'setup', 'a fork, or a retry by another way');
    const answered = await b.selector.answered(call, first.binding);
    t.is(answered?.binding.state, 'answered');
    t.is(where(answered as Answer), where(first));
    t.is(answered?.binding.ttlSeconds, 3600);
    const writes = b.commits.counters.commits;
    t.is((await b.selector.answered(call, first.binding))?.binding.state, 'answered', 'idempotent');
    t.is(b.commits.counters.commits, writes, 'and known already');
    for (const { selector } of [a, b]) {
      t.is((await selector.select(ask(call))).binding.state, 'answered');
      t.is((await selector.select(ask(call, { inDialog: true }))).binding.state, 'answered');
    }
    t.is(await a.selector.answered(parseCall('never-bound'), first.binding), undefined);
  },
);

behavior('an answer that is told late does not take a release back', async (t, client, etcd) => {
  const { a, b } = await scene(t, client, etcd);
  const call = parseCall('answered-late');
  const { binding } = await a.selector.select(ask(call));
  await b.selector.release(call);
  t.is((await a.selector.answered(call, binding, true))?.binding.state, 'released');
  t.is(
    (await a.selector.answered(call, binding))?.binding.state,
    'answered',
    'one that was given just now does',
  );
});

behavior('a use within the dialog says that the call was answered', async (t, client, etcd) => {
  const { a, b } = await scene(t, client, etcd);
  const first = await a.selector.select(ask('in-dialog'));
  const answered = await b.selector.select(ask('in-dialog', { inDialog: true }));
  t.like(answered.binding, { state: 'answered', ttlSeconds: 3600, beginning: first.binding.beginning });
  t.is(where(answered), where(first));
  const unknown = await a.selector.select(ask('begun-elsewhere', { inDialog: true }));
  t.like(unknown.binding, { state: 'answered', ttlSeconds: 3600, generation: 1 });
});

behavior(
  'a released call begins again with the next request: same relay, new beginning',
  async (t, client, etcd) => {
    const { a, b } = await scene(t, client, etcd);
    for (let i = 0; i < 30; i++) {
      const call = parseCall(`again-${i}`);
      const first = await a.selector.select(ask(call));
      t.is(where(await b.selector.select(ask(call))), where(first), 'it is remembered there');
      t.true(await (i % 2 ? a : b).selector.release(call));
      const request = ask(call);
      const again = await b.selector.select(request);
      t.is(where(again), where(first));
      t.deepEqual(lifeOf(again), {
        ...lifeOf(first),
        state: 'setup',
        beginning: request.requestId,
      });
      t.is(again.origin, 'new');
      t.false(isVersionOf(again.binding, first.binding));
      const { binding } = await a.store.read(call);
      t.like(binding, { state: 'setup', expiresAtMs: again.binding.expiresAtMs }, 'it does not linger only');
      t.is((await b.selector.select(request)).binding.beginning, request.requestId, 'a retry begins nothing');
    }
  },
);

behavior(
  'a replica that remembers the call as it was hears that it has begun again',
  async (t, client, etcd) => {
    const { a, b } = await scene(t, client, etcd);
    const call = parseCall('again-heard');
    const first = await a.selector.select(ask(call, { inDialog: true }));
    t.is((await b.selector.select(ask(call, { inDialog: true }))).binding.state, 'answered');
    await a.selector.release(call);
    const again = await a.selector.select(ask(call));
    t.is(where(again), where(first));
    await eventually(() => b.selector.remembered(call)?.beginning !== first.binding.beginning, 'news of it');
    const used = await b.selector.select(ask(call, { inDialog: true }));
    t.is(used.binding.beginning, again.binding.beginning);
    t.like((await a.store.read(call)).binding, { state: 'answered', ttlSeconds: 3600 }, 'its use counts');
  },
);

behavior('the lease of a call that begins again is that of a new call', async (t, client, etcd) => {
  const { a, b, keys } = await scene(t, client, etcd);
  const call = parseCall('again-lives');
  await a.selector.select(ask(call));
  await a.selector.release(call);
  await b.selector.select(ask(call));
  const [kv] = (await client.kv.range({ key: keys.call(call) })).kvs;
  const { TTL } = await client.leaseClient.leaseTimeToLive({ ID: kv?.lease ?? '' });
  t.true(Number(TTL) >= 400, `${TTL} s`);
});

behavior(
  'a call begins again on its relay though that takes no new calls; elsewhere, if it is gone',
  async (t, client, etcd) => {
    const { a, keys, registered } = await scene(t, client, etcd, { replicas: 1 });
    const call = parseCall('again-drained');
    const first = await a.selector.select(ask(call, { constraints: { target: 'r1' } }));
    await a.selector.release(call);
    const { intents } = keys;
    await client.kv.put({
      key: Buffer.from(`${intents}default/r1`),
      value: Buffer.from('{"state":"draining","at":"2026-01-01T00:00:00Z"}'),
    });
    await eventually(() => a.directory.get('default', 'r1')?.intent?.state === 'draining', 'the intent');
    t.is(where(await a.selector.select(ask(call))), where(first));
    await a.selector.release(call);
    const [gone] = registered;
    if (gone) {
      await deleteRelay(client, keys, gone);
    }
    await known([a], 'r1', undefined);
    const moved = await a.selector.select(ask(call));
    t.like(moved.binding, { generation: 2, state: 'setup' });
    t.not(moved.binding.relayId, 'r1');
    t.not(moved.binding.beginning, first.binding.beginning);
  },
);

behavior(
  'a released call lingers for what is in its dialog, and that does not revive it',
  async (t, client, etcd) => {
    const { a, b } = await scene(t, client, etcd, { settings: { lingerSeconds: 5 } });
    const call = parseCall('bye');
    const first = await a.selector.select(ask(call));
    await b.selector.select(ask(call, { inDialog: true }));
    t.true(await a.selector.release(call));
    t.true(await a.selector.release(call), 'idempotent');
    t.false(await a.selector.release(parseCall('never-bound')));
    // One of them has not heard of the end. For what is in the dialog it need not.
    for (const { selector } of [a, b]) {
      t.is(where(await selector.select(ask(call, { inDialog: true }))), where(first));
      await selector.renew(first.binding);
      // A use that has to write finds out.
      const used = await selector.select(ask(call, { inDialog: true, ttlSeconds: 40_000 }));
      t.is(used.binding.state, 'released');
      t.is((await selector.lookup(call))?.binding.state, 'released');
    }
    // Asked all the time by both, it goes when the linger is over, and neither remembers it.
    for (const { selector } of [a, b]) {
      await eventually(async () => (await selector.lookup(call)) === undefined, 'the end of the linger');
    }
    const anew = await b.selector.select(ask(call));
    t.is(anew.origin, 'new');
    t.is(anew.binding.state, 'setup');
  },
);

behavior(
  'a relay that takes an answer carries the call, though it was said to have ended',
  async (t, client, etcd) => {
    const { a, b } = await scene(t, client, etcd);
    const call = parseCall('not-over');
    const first = await a.selector.select(ask(call));
    await b.selector.release(call);
    const answered = await a.selector.answered(call, first.binding);
    t.like(answered?.binding, { state: 'answered', beginning: first.binding.beginning });
    t.is((await b.selector.lookup(call))?.binding.state, 'answered');
  },
);

behavior('a released call that has ended is remembered by nobody', async (t, client, etcd) => {
  const { a, b, keys } = await scene(t, client, etcd, { settings: { lingerSeconds: 10 } });
  const first = await a.selector.select(ask('ended'));
  const call = parseCall('ended');
  await a.selector.release(call);
  const dueMs = performance.now() + 10_000;
  // Both read it again late in its linger.
  await eventually(() => dueMs - performance.now() < 4000, 'the end of the linger');
  for (const { selector } of [a, b]) {
    t.is(where((await selector.lookup(call)) as Answer), where(first));
  }
  const gone = async () => (await client.kv.range({ key: keys.call(call) })).kvs.length === 0;
  await eventually(gone, 'the end of the binding');
  for (const { selector } of [a, b]) {
    t.is(await selector.lookup(call), undefined);
  }
});

behavior(
  'what was put off for a former beginning does not touch the call that began again',
  async (t, client, etcd) => {
    const { a, b } = await scene(t, client, etcd);
    const call = parseCall('put-off');
    const { binding: former } = await a.selector.select(ask(call));
    await a.selector.release(call, former);
    const { binding: present } = await b.selector.select(ask(call));
    for (const { selector } of [a, b]) {
      t.false(await selector.release(call, former));
      t.is(await selector.answered(call, former), undefined);
      await selector.renew(former);
      const found = await selector.lookup(call);
      t.like(found?.binding, {
        state: 'setup',
        beginning: present.beginning,
        expiresAtMs: present.expiresAtMs,
      });
    }
    t.is((await a.selector.answered(call, present))?.binding.state, 'answered');
    t.true(await a.selector.release(call, present));
    t.is((await b.store.read(call)).binding?.state, 'released');
  },
);

behavior('what was put off for a relay that the call has left does not touch it', async (t, client, etcd) => {
  const { a, b } = await scene(t, client, etcd);
  const call = parseCall('left');
  const { binding: former } = await a.selector.select(ask(call));
  const { binding: present } = await a.selector.move(aMove({ call }));
  t.is(present.beginning, former.beginning);
  for (const { selector } of [b, a]) {
    t.false(await selector.release(call, former));
    t.is(await selector.answered(call, former), undefined);
  }
  t.like((await b.selector.lookup(call))?.binding, { state: 'setup', generation: 2 });
});

behavior(
  'a move that is for setup alone is refused once the call is answered, or has ended',
  async (t, client, etcd) => {
    const { a, b } = await scene(t, client, etcd);
    const inSetup = parseCall('hunting');
    await a.selector.select(ask(inSetup));
    const move = { inSetupOnly: true, reason: 'its relay is full', by: 'gateway' };
    const moved = await b.selector.move(aMove({ call: inSetup, ...move }));
    t.like(moved.binding, { generation: 2, state: 'setup' });

    const call = parseCall('answered-meanwhile');
    const first = await a.selector.select(ask(call));
    t.is((await b.selector.lookup(call))?.binding.state, 'setup', 'as that one remembers it');
    await a.selector.answered(call, first.binding);
    t.is(await errorOf(b.selector.move(aMove({ call, ...move }))), 'failed-precondition');
    t.is(where((await a.selector.lookup(call)) as Answer), where(first));

    const ended = parseCall('ended-meanwhile');
    await a.selector.select(ask(ended));
    await b.selector.lookup(ended);
    await a.selector.release(ended);
    t.is(await errorOf(b.selector.move(aMove({ call: ended, ...move }))), 'failed-precondition');
    t.is((await b.selector.move(aMove({ call }))).binding.state, 'answered', 'an operator may');
  },
);

behavior('a move is not written after its deadline', async (t, client, etcd) => {
  const { a, b } = await scene(t, client, etcd);
  const call = parseCall('too-late');
  const first = await a.selector.select(ask(call));
  const late = aMove({ call, deadlineMs: systemClock.monotonicMs() - 1 });
  t.is(await errorOf(b.selector.move(late)), 'failed-precondition');
  t.is(where((await a.selector.lookup(call, { current: true })) as Answer), where(first));
  const inTime = aMove({ call, deadlineMs: systemClock.monotonicMs() + 60_000 });
  t.is((await b.selector.move(inTime)).binding.generation, 2);
});

behavior('the last eight moves are kept, with when, why and by whom', async (t, client, etcd) => {
  const { a, b } = await scene(t, client, etcd, { relays: 2 });
  const call = parseCall('wanderer');
  let last = await a.selector.select(ask(call));
  const left: string[] = [];
  for (let generation = 1; generation <= 10; generation++) {
    left.push(last.binding.relayId);
    const request = {
      requestId: `m${generation}`,
      reason: `reason ${generation}`,
      by: `mover ${generation}`,
    };
    last = await (generation % 2 ? a : b).selector.move(aMove({ call, generation, ...request }));
  }
  const { moves, createdAtMs } = (await b.selector.lookup(call))?.binding ?? last.binding;
  t.deepEqual(
    moves.map(({ from }) => from),
    left.slice(-8),
  );
  t.deepEqual(
    moves.map(({ reason, by }) => `${reason} ${by}`),
    Array.from({ length: 8 }, (_, i) => `reason ${i + 3} mover ${i + 3}`),
  );
  t.true(moves.every(({ atMs }, i) => atMs >= (moves[i - 1]?.atMs ?? createdAtMs)));
});

behavior('all that happens to a call is told once, by the replica that did it', async (t, client, etcd) => {
  const { a, b } = await scene(t, client, etcd);
  const told: string[] = [];
  for (const [name, { events }] of Object.entries({ a, b })) {
    events.subscribe(({ type, details }: HoldfastEvent) => {
      if ('callId' in details) {
        told.push(`${name}: ${type}`);
      }
    });
  }
  const call = parseCall('told');
  const { binding } = await a.selector.select(ask(call));
  await b.selector.select(ask(call));
  const moved = await b.selector.move(aMove({ call }));
  await a.selector.answered(call, moved.binding);
  await b.selector.answered(call, moved.binding);
  await b.selector.release(call, binding);
  await b.selector.release(call);
  await a.selector.release(call);
  await a.selector.select(ask(call));
  t.deepEqual(told, ['a: callBound', 'b: callMoved', 'a: callAnswered', 'b: callReleased', 'a: callBound']);
});
