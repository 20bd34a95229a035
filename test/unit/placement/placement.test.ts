import test from 'ava';
import { HoldfastError } from '../../../services/domain/error.js';
import type { Intent, Load, RegisteredRelay, Relay } from '../../../services/domain/relay.js';
import { Placement, type PolicyName, policyNames } from '../../../services/placement/placement.js';
import type { RelayConstraints } from '../../../services/placement/pool.js';
import { aRelay } from '../../support/registry.js';

const intent = (overrides: Partial<Intent>): Intent => ({
  state: 'active',
  reason: '',
  actor: '',
  atMs: 0,
  ...overrides,
});
const load = (calls: number): Load => ({ calls, cpu: 0, packetRate: 0, atMs: 0 });

type Given = Partial<Relay> & Partial<Pick<RegisteredRelay, 'intent' | 'load' | 'loadHeardAtMs'>>;

const registered = ({ intent, load, loadHeardAtMs, ...relay }: Given): RegisteredRelay => ({
  relay: aRelay(relay),
  revision: 1,
  intent,
  load,
  loadHeardAtMs,
});

function placement(relays: readonly Given[], policy: PolicyName = 'least-loaded'): Placement {
  const made = new Placement(policy);
  for (const each of relays) {
    made.put(registered(each));
  }
  return made;
}

/** All that are chosen for many calls, in order. */
function chosen(made: Placement, constraints: RelayConstraints = {}, set = 'default', calls = 200): string {
  const ids = new Set<string>();
  for (let i = 0; i < calls; i++) {
    const reservation = made.choose(set, `call-${i}`, constraints, 0);
    reservation.cancel();
    ids.add(reservation.id);
  }
  return [...ids].sort().join(' ');
}

function refusal(made: Placement, constraints: RelayConstraints = {}, set = 'default'): string {
  try {
    made.choose(set, 'call', constraints, 0);
  } catch (error) {
    if (error instanceof HoldfastError) {
      return `${error.code}: ${error.message}`;
    }
    throw error;
  }
  throw new Error('a relay was chosen');
}

test('only relays of the wanted set', (t) => {
  const made = placement([{ id: 'a' }, { id: 'b', set: 'other' }, { id: 'a', set: 'other' }]);
  t.is(chosen(made), 'a');
  t.is(chosen(made, {}, 'other'), 'a b');
  made.remove('other', 'a');
  t.is(chosen(made, {}, 'other'), 'b');
  t.is(chosen(made), 'a', 'the same id in another set is another relay');
});

test('only relays that take calls, by their own word and the operators’', (t) => {
  const made = placement([
    { id: 'a' },
    { id: 'b', state: 'draining' },
    { id: 'c', intent: intent({ state: 'draining' }) },
    { id: 'd', intent: intent({ state: 'disabled' }) },
    { id: 'e', weight: 0 },
    { id: 'f', intent: intent({ weight: 0 }) },
    { id: 'g', weight: 0, intent: intent({ weight: 5 }) },
  ]);
  t.is(chosen(made), 'a g');
});

test('what operators change takes effect at once, both ways', (t) => {
  const made = placement([{ id: 'a' }, { id: 'b' }]);
  made.put(registered({ id: 'a', intent: intent({ state: 'draining' }) }));
  t.is(chosen(made), 'b');
  made.put(registered({ id: 'a' }));
  t.is(chosen(made), 'a b');
});

test('no relay takes more calls than its capacity, counting those placed since its report', (t) => {
  const made = placement([{ id: 'a', capacity: 3, load: load(1), loadHeardAtMs: 0 }]);
  made.choose('default', 'x', {}, 0);
  made.choose('default', 'y', {}, 0);
  t.regex(refusal(made), /^relays-full: .*all 1 eligible relays of set default are at their capacity/);
  made.put(registered({ id: 'a', capacity: 3, load: load(2), loadHeardAtMs: 1 }));
  t.is(made.choose('default', 'z', {}, 0).id, 'a', 'the new report knows better');
  t.regex(refusal(made), /^relays-full/);
});

test('a call that was placed in vain counts no more, even if it is taken back twice', (t) => {
  const made = placement([{ id: 'a', capacity: 2 }]);
  const [one, two] = [made.choose('default', 'x', {}, 0), made.choose('default', 'y', {}, 0)];
  t.regex(refusal(made), /^relays-full/);
  one.cancel();
  one.cancel();
  t.is(made.choose('default', 'z', {}, 0).id, 'a');
  t.regex(refusal(made), /^relays-full/, 'one was given back, not two');
  two.cancel();
  t.is(made.choose('default', 'w', {}, 0).id, 'a');
});

test('a call that was placed in vain is taken back from a relay that changed meanwhile', (t) => {
  const made = placement([{ id: 'a', capacity: 1 }]);
  const placed = made.choose('default', 'x', {}, 0);
  for (const reason of ['looked at', 'looked at again']) {
    made.put(registered({ id: 'a', capacity: 1, intent: intent({ reason }) }));
    t.regex(refusal(made), /^relays-full/);
  }
  placed.cancel();
  t.is(made.choose('default', 'y', {}, 0).id, 'a');
});

test('nothing is taken back from a report that never counted it', (t) => {
  const made = placement([{ id: 'a', capacity: 2, load: load(0), loadHeardAtMs: 0 }]);
  const placed = made.choose('default', 'x', {}, 0);
  made.put(registered({ id: 'a', capacity: 2, load: load(1), loadHeardAtMs: 1 }));
  placed.cancel();
  made.choose('default', 'y', {}, 0);
  t.regex(refusal(made), /^relays-full/, 'the relay has said one, and one was placed since');
});

test('a relay is taken for a call that was promised to it, if it is that instance', (t) => {
  const made = placement([{ id: 'a', capacity: 1, state: 'draining' }]);
  t.is(made.take('default', 'a', 'another-life'), undefined);
  t.is(made.take('default', 'b', 'life-of-b'), undefined);
  t.is(made.take('elsewhere', 'a', 'life-of-a'), undefined);
  const taken = made.take('default', 'a', 'life-of-a');
  t.is(taken?.id, 'a', 'though it takes no new calls');
  made.put(registered({ id: 'a', capacity: 1 }));
  t.regex(refusal(made), /^relays-full/, 'it counts');
  taken?.cancel();
  t.is(made.choose('default', 'x', {}, 0).id, 'a');
});

test('it follows the relays that a directory tells of', (t) => {
  const listeners = new Set<Parameters<Parameters<Placement['follow']>[0]['subscribe']>[0]>();
  const made = new Placement('rendezvous');
  made.follow({
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  });
  const tell = (type: 'joined' | 'changed' | 'suspect' | 'left', given: Given) => {
    for (const listener of listeners) {
      listener({ type, relay: registered(given) });
    }
  };
  tell('joined', { id: 'a' });
  tell('joined', { id: 'b' });
  t.is(chosen(made), 'a b');
  tell('changed', { id: 'b', state: 'draining' });
  t.is(chosen(made), 'a');
  tell('suspect', { id: 'a' });
  t.regex(refusal(made), /^relay-awaited/);
  t.is(made.predict('default', 'x', {}).id, 'a', 'there is no other');
  t.is(made.take('default', 'a', 'life-of-a'), undefined);
  tell('joined', { id: 'c' });
  t.is(made.predict('default', 'x', {}).id, 'c');
  tell('left', { id: 'c' });
  tell('joined', { id: 'a' });
  tell('left', { id: 'b' });
  t.is(chosen(made), 'a');
});

test('what was placed is remembered when only the intent changes', (t) => {
  const made = placement([{ id: 'a', capacity: 1 }]);
  made.choose('default', 'x', {}, 0);
  made.put(registered({ id: 'a', capacity: 1, intent: intent({ reason: 'looked at' }) }));
  t.regex(refusal(made), /^relays-full/);
});

test('capacity 0 is no limit', (t) => {
  const made = placement([{ id: 'a', load: load(1_000_000), loadHeardAtMs: 0 }]);
  t.is(made.choose('default', 'x', {}, 0).id, 'a');
});

test('a full relay is passed over while another is free', (t) => {
  const made = placement([{ id: 'a', capacity: 1, load: load(1), loadHeardAtMs: 0 }, { id: 'b' }]);
  t.is(chosen(made), 'b');
});

test('excluded relays are not chosen', (t) => {
  const made = placement([{ id: 'a' }, { id: 'b' }, { id: 'c' }]);
  t.is(chosen(made, { excluded: ['a', 'c', 'unknown'] }), 'b');
  t.regex(
    refusal(made, { excluded: ['a', 'b', 'c'] }),
    /^no-relay: .*set default has 3 that take calls, but none fits/,
  );
});

test('all wanted labels must match', (t) => {
  const made = placement([
    { id: 'a', labels: { tier: 'gold', site: 'x' } },
    { id: 'b', labels: { tier: 'gold' } },
    { id: 'c' },
  ]);
  t.is(chosen(made, { labels: { tier: 'gold' } }), 'a b');
  t.is(chosen(made, { labels: { tier: 'gold', site: 'x' } }), 'a');
  t.is(chosen(made, { labels: {} }), 'a b c');
  for (const labels of [{ tier: 'Gold' }, { constructor: 'gold' }, { tier: '' }]) {
    t.regex(refusal(made, { labels }), /^no-relay/);
  }
});

test('all wanted features must be published', (t) => {
  const made = placement([
    { id: 'a', features: ['srtp', 'ice'], capacity: 1 },
    { id: 'b', features: ['srtp'] },
    { id: 'c' },
  ]);
  t.is(chosen(made, { features: ['srtp'] }), 'a b');
  t.is(chosen(made, { features: ['ice', 'srtp'] }), 'a');
  t.is(chosen(made, { features: [] }), 'a b c');
  t.is(chosen(made, { features: ['srtp'], excluded: ['a'] }), 'b');
  t.regex(refusal(made, { features: ['record'] }), /^no-relay: .*exclusions, labels and features/);
  t.regex(refusal(made, { features: ['srtp'], target: 'c' }), /^no-relay/);
  made.choose('default', 'x', { features: ['ice'] }, 0);
  t.regex(refusal(made, { features: ['ice'] }), /^relays-full: .*all 1 eligible/);
  made.put(registered({ id: 'c', features: ['ice'] }));
  t.is(chosen(made, { features: ['ice'] }), 'c', 'what a relay can do may change while it lives');
});

test('a relay with what a call needs is preferred, and others take it where there is none', (t) => {
  const made = placement([
    { id: 'a', features: ['srtp', 'ice'], capacity: 1, zone: 'x' },
    { id: 'b', features: ['srtp'], zone: 'y' },
    { id: 'c', zone: 'x' },
  ]);
  t.is(chosen(made, { needs: ['srtp'] }), 'a b');
  t.is(chosen(made, { needs: ['srtp'], zone: 'x' }), 'a');
  t.is(chosen(made, { needs: ['srtp'], preferred: 'c', zone: 'y' }), 'b', 'another relay would refuse');
  t.is(chosen(made, { needs: ['srtp'], excluded: ['a', 'b'] }), 'c');
  t.is(chosen(made, { needs: ['record'] }), 'a b c');
  made.choose('default', 'x', { needs: ['ice'] }, 0);
  t.is(chosen(made, { needs: ['ice'] }), 'b c', 'the relay that has it is full');
});

test('replicas predict alike where a call needs features', (t) => {
  const relays = ['a', 'b', 'c', 'd'].map((id) => ({ id, features: id === 'a' ? [] : ['srtp'] }));
  const [one, other] = [placement(relays), placement([...relays].reverse())];
  const ids = Array.from({ length: 100 }, (_, i) => `c${i}`);
  const predicted = ids.map((id) => one.predict('default', id, { features: ['srtp'] }).id);
  t.deepEqual(
    ids.map((id) => other.predict('default', id, { features: ['srtp'] }).id),
    predicted,
  );
  t.is([...new Set(predicted)].sort().join(' '), 'b c d');
});

test('the relay of another call is preferred while it is eligible, before any zone', (t) => {
  const made = placement([
    { id: 'a', capacity: 1, zone: 'eu' },
    { id: 'b', zone: 'us' },
    { id: 'c', state: 'draining' },
  ]);
  t.is(chosen(made, { preferred: 'a' }), 'a');
  t.is(chosen(made, { preferred: 'b', zone: 'eu' }), 'b');
  t.is(chosen(made, { preferred: 'b', excluded: ['b'] }), 'a');
  t.is(chosen(made, { preferred: 'c' }), 'a b', 'it takes no calls');
  t.is(chosen(made, { preferred: 'gone' }), 'a b');
  t.is(chosen(made, { preferred: 'gone', zone: 'eu' }), 'a');
  made.choose('default', 'x', { preferred: 'a' }, 0);
  t.is(chosen(made, { preferred: 'a' }), 'b', 'it is full');
});

test('a zone is preferred while a relay in it can take the call', (t) => {
  const near = { id: 'a', zone: 'eu', capacity: 1 };
  const made = placement([near, { id: 'b', zone: 'us' }, { id: 'c' }]);
  t.is(chosen(made, { zone: 'eu' }), 'a');
  t.is(chosen(made, { zone: 'mars' }), 'a b c');
  t.is(chosen(made, { zone: '' }), 'a b c');
  made.put(registered({ ...near, load: load(1), loadHeardAtMs: 0 }));
  t.is(chosen(made, { zone: 'eu' }), 'b c');
  t.is(chosen(made, { zone: 'eu', excluded: ['b'] }), 'c');
});

test('a target is the only one, and must be eligible like any other', (t) => {
  const made = placement([{ id: 'a' }, { id: 'b' }, { id: 'c', state: 'draining' }]);
  t.is(chosen(made, { target: 'b' }), 'b');
  t.regex(
    refusal(made, { target: 'c' }),
    /^no-relay: .*relay c is not registered in set default, or takes no calls/,
  );
  t.regex(refusal(made, { target: 'x' }), /^no-relay: .*relay x is not registered/);
  t.regex(refusal(made, { target: 'b', excluded: ['b'] }), /^no-relay/);
  made.put(registered({ id: 'b', capacity: 1, load: load(1), loadHeardAtMs: 0 }));
  t.regex(refusal(made, { target: 'b' }), /^relays-full/);
});

test('full and none are told apart, and name the set', (t) => {
  const full = { capacity: 1, load: load(1), loadHeardAtMs: 0 };
  t.regex(refusal(new Placement('rendezvous'), {}, 'x'), /^no-relay: .*none is registered in set x/);
  const gone = placement([{ id: 'a' }]);
  gone.remove('default', 'a');
  gone.remove('default', 'never-there');
  t.regex(refusal(gone), /^no-relay: .*none is registered in set default/);
  const closed = placement([
    { id: 'a', state: 'draining' },
    { id: 'b', weight: 0 },
  ]);
  t.regex(refusal(closed), /^no-relay: .*set default has 2 registered, none of which takes calls/);
  t.regex(
    refusal(
      placement([
        { id: 'a', ...full },
        { id: 'b', ...full },
      ]),
    ),
    /^relays-full: .*all 2 .*set default/,
  );
  const mixed = placement([
    { id: 'a', ...full },
    { id: 'b', state: 'draining' },
  ]);
  t.regex(refusal(mixed), /^relays-full: .*all 1 eligible/);
});

for (const policy of policyNames) {
  test(`${policy}: never chooses what is not eligible`, (t) => {
    const made = placement(
      [{ id: 'a', state: 'draining' }, { id: 'b' }, { id: 'c', weight: 0 }, { id: 'd' }, { id: 'e' }],
      policy,
    );
    const seen = chosen(made, { excluded: ['b'] });
    t.is(seen, policy === 'first-available' ? 'd' : 'd e');
  });
}

test('a call whose key is the same goes to the same relay in every replica without reports', (t) => {
  const relays = ['a', 'b', 'c'].map((id) => ({ id }));
  const one = placement(relays);
  const other = placement([...relays].reverse());
  for (let i = 0; i < 100; i++) {
    t.is(one.choose('default', `c${i}`, {}, 0).id, other.choose('default', `c${i}`, {}, 0).id);
  }
});
