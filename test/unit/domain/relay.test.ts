import test from 'ava';
import {
  effectiveState,
  effectiveWeight,
  type Intent,
  type Relay,
  type RelayState,
  relayStates,
  relaysInUse,
} from '../../../services/domain/relay.js';
import { aRelay } from '../../support/registry.js';

const intent = (state: RelayState, weight?: number): Intent => ({
  state,
  weight,
  reason: '',
  actor: '',
  atMs: 0,
});

test('the stricter of relay node and operators counts', (t) => {
  const expected: Record<'active' | 'draining', Record<RelayState | 'none', RelayState>> = {
    active: { none: 'active', active: 'active', draining: 'draining', disabled: 'disabled' },
    draining: { none: 'draining', active: 'draining', draining: 'draining', disabled: 'disabled' },
  };
  for (const state of ['active', 'draining'] as const) {
    const relay = aRelay({ state });
    t.is(effectiveState({ relay, revision: 1 }), expected[state].none);
    for (const wanted of relayStates) {
      t.is(effectiveState({ relay, revision: 1, intent: intent(wanted) }), expected[state][wanted]);
    }
  }
});

test('the weight of the operators replaces the relay’s own, 0 too', (t) => {
  const relay = aRelay({ weight: 70 });
  t.is(effectiveWeight({ relay, revision: 1 }), 70);
  t.is(effectiveWeight({ relay, revision: 1, intent: intent('active') }), 70);
  t.is(effectiveWeight({ relay, revision: 1, intent: intent('active', 0) }), 0);
  t.is(effectiveWeight({ relay, revision: 1, intent: intent('active', 9) }), 9);
});

/** How many relays of its set the calls of each of these fill. */
const inUse = (...relays: readonly (readonly [calls: number, relay?: Partial<Relay>, intent?: Intent])[]) =>
  relaysInUse(
    relays.map(([calls, relay, wanted]) => ({
      relay: aRelay({ capacity: 10, ...relay }),
      revision: 1,
      load: { calls, cpu: 0, packetRate: 0, atMs: 0 },
      intent: wanted,
    })),
  );

test('calls fill relays, each in proportion to its own capacity, and each set for itself', (t) => {
  t.deepEqual(
    [...inUse([5], [10, { capacity: 40 }], [7, { set: 'edge' }])],
    [
      ['default', 0.75],
      ['edge', 0.7],
    ],
  );
  t.deepEqual([...inUse([500, { capacity: 0 }])], [['default', 0]], 'one without a limit is never filled');
  const relay = aRelay({ capacity: 10 });
  t.deepEqual([...relaysInUse([{ relay, revision: 1 }])], [['default', 0]], 'one that has not reported yet');
  t.deepEqual([...inUse()], []);
});

test('calls count the same whether their relay is to stay or was told to stop', (t) => {
  const all = inUse([6], [6]).get('default');
  t.is(inUse([6], [6, { state: 'draining' }]).get('default'), all);
  t.is(
    inUse([6, { state: 'draining' }, intent('draining')]).get('default'),
    0.6,
    'it goes, whoever wants what',
  );
});

test('a relay that stays and that operators keep from new calls has its place taken', (t) => {
  for (const kept of [intent('draining'), intent('disabled'), intent('active', 0)]) {
    t.is(inUse([5], [2, {}, kept]).get('default'), 1.5);
    t.is(inUse([5], [15, {}, kept]).get('default'), 2);
  }
  t.is(inUse([2, {}, intent('active', 5)]).get('default'), 0.2);
});
