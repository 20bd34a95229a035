import type { StartTime } from '../services/registry/codecs/instance.js';
import type { RelayRegistration } from '../services/registry/relay-registration.js';

/** One life of the relay's media process, and its registration. */
export interface Served {
  readonly instance: string;
  readonly start: StartTime;
  readonly registration: RelayRegistration;
}

/** The relay has not said yet which life it is in, or etcd has not: nothing is registered. */
export interface Searching {
  readonly name: 'searching';
}

/** The relay answers and its life is known. It is registered, or being registered for as long as etcd refuses. */
export interface Registered {
  readonly name: 'registered';
  readonly served: Served;
}

/** The relay does not answer, and is not registered. */
export interface Unhealthy {
  readonly name: 'unhealthy';
}

/** The node was told to stop, and its relay still has calls. Registered as draining, if the relay answers. */
export interface Draining {
  readonly name: 'draining';
  readonly served: Served | undefined;
}

/** Nothing is registered, and nothing will be. */
export interface Stopped {
  readonly name: 'stopped';
}

export type AgentState = Searching | Registered | Unhealthy | Draining | Stopped;

export type AgentEvent =
  /** It is known which life the relay is in. */
  | { readonly name: 'identified'; readonly served: Served }
  /** The relay has not answered several times in a row. */
  | { readonly name: 'silent' }
  /** The relay's program has ended, in this way. */
  | { readonly name: 'ended'; readonly exit: string }
  /** The relay answers. */
  | { readonly name: 'answering' }
  /** The relay is in another life than the one that is served. */
  | { readonly name: 'restarted' }
  /** The node was told to stop. */
  | { readonly name: 'stop' }
  /** The relay has no calls anymore, or the deadline has passed. */
  | { readonly name: 'drained' };

type Transition = (state: AgentState, event: AgentEvent) => AgentState;

const searching: Transition = () => ({ name: 'searching' });
const unhealthy: Transition = () => ({ name: 'unhealthy' });
const registered: Transition = (state, event) =>
  event.name === 'identified' ? { name: 'registered', served: event.served } : state;
const draining: Transition = (state, event) => ({
  name: 'draining',
  served: event.name === 'identified' ? event.served : servedIn(state),
});
const drainingAlone: Transition = () => ({ name: 'draining', served: undefined });
const stopped: Transition = () => ({ name: 'stopped' });

/** What is not in the table changes nothing. */
const transitions: {
  readonly [S in AgentState['name']]: { readonly [E in AgentEvent['name']]?: Transition };
} = {
  searching: { identified: registered, silent: unhealthy, ended: unhealthy, stop: draining },
  registered: { restarted: searching, silent: unhealthy, ended: unhealthy, stop: draining },
  unhealthy: { answering: searching, stop: draining },
  draining: {
    identified: draining,
    restarted: drainingAlone,
    silent: drainingAlone,
    ended: drainingAlone,
    drained: stopped,
  },
  stopped: {},
};

export function nextState(state: AgentState, event: AgentEvent): AgentState {
  return transitions[state.name][event.name]?.(state, event) ?? state;
}

/** The life that is registered in this state, if one is. */
export function servedIn(state: AgentState): Served | undefined {
  return 'served' in state ? state.served : undefined;
}
