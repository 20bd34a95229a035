import test from 'ava';
import {
  effectiveState,
  effectiveWeight,
  type Intent,
  type RelayState,
  relayStates,
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
