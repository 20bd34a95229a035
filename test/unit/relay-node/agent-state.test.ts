import test from 'ava';
import { type AgentEvent, type AgentState, nextState, type Served } from '../../../relay-node/agent-state.js';

const served = { instance: 'one', start: { sinceBootMs: 1 } } as Served;
const other = { instance: 'two', start: { sinceBootMs: 2 } } as Served;
const states = {
  searching: { name: 'searching' },
  registered: { name: 'registered', served },
  unhealthy: { name: 'unhealthy' },
  draining: { name: 'draining', served },
  alone: { name: 'draining', served: undefined },
  stopped: { name: 'stopped' },
} satisfies Record<string, AgentState>;
const events = {
  identified: { name: 'identified', served: other },
  silent: { name: 'silent' },
  ended: { name: 'ended', exit: 'SIGKILL' },
  answering: { name: 'answering' },
  restarted: { name: 'restarted' },
  stop: { name: 'stop' },
  drained: { name: 'drained' },
} satisfies Record<string, AgentEvent>;

const changes: Record<string, AgentState> = {
  'searching identified': { name: 'registered', served: other },
  'searching silent': states.unhealthy,
  'searching ended': states.unhealthy,
  'searching stop': states.alone,
  'registered silent': states.unhealthy,
  'registered ended': states.unhealthy,
  'registered restarted': states.searching,
  'registered stop': states.draining,
  'unhealthy answering': states.searching,
  'unhealthy stop': states.alone,
  'draining identified': { name: 'draining', served: other },
  'draining silent': states.alone,
  'draining ended': states.alone,
  'draining restarted': states.alone,
  'draining drained': states.stopped,
  'alone identified': { name: 'draining', served: other },
  'alone silent': states.alone,
  'alone ended': states.alone,
  'alone restarted': states.alone,
  'alone drained': states.stopped,
};

test('each event in each state', (t) => {
  for (const [from, state] of Object.entries(states)) {
    for (const [name, event] of Object.entries(events)) {
      t.deepEqual(nextState(state, event), changes[`${from} ${name}`] ?? state, `${from} ${name}`);
    }
  }
});
