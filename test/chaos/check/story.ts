/** A revision, with bounds on its time. */
export interface Moment {
  readonly revision: number;
  readonly afterMs: number;
  readonly byMs: number;
}

export interface LoggedBinding {
  readonly relay: string;
  readonly set: string;
  readonly instance: string;
  readonly generation: number;
  readonly state: 'setup' | 'answered' | 'released';
  readonly request: string;
  /** The request that began the call. */
  readonly begun: string;
  readonly createdAtMs: number;
  readonly ttlSeconds: number;
  readonly expiresAtMs: number;
}

/** The value of a call's key from a revision on; undefined if it was deleted. */
export interface BindingState extends Moment {
  readonly binding: LoggedBinding | undefined;
  /** Nobody wrote it: etcd was wiped or restored, and this is what it came back with. */
  readonly isLoss?: true;
}

/** One generation of one binding, from its first state to the next generation or its deletion. */
export interface Span {
  readonly binding: LoggedBinding;
  /** That made this generation, or began the call again in it. */
  readonly requests: ReadonlySet<string>;
  /** Of a loss: etcd came back with it. */
  readonly begin: Moment & Pick<BindingState, 'isLoss'>;
  /** Undefined while it is in force. */
  readonly end: Moment | undefined;
  readonly endedBy: 'move' | 'deletion' | 'loss' | 'nothing';
}

export interface Registration extends Moment {
  /** Undefined if the registration is gone. */
  readonly instance: string | undefined;
  /** Nobody wrote it: etcd was wiped or restored. */
  readonly isLoss?: true;
}

/** The states of a call's key, in order. */
export class Story {
  readonly states: BindingState[] = [];
  #spans: Span[] | undefined;

  add(state: BindingState): void {
    this.states.push(state);
    this.#spans = undefined;
  }

  get spans(): readonly Span[] {
    this.#spans ??= spansOf(this.states);
    return this.#spans;
  }
}

export function isSameGeneration(one: LoggedBinding, other: LoggedBinding): boolean {
  return (
    one.createdAtMs === other.createdAtMs &&
    one.generation === other.generation &&
    one.relay === other.relay &&
    one.instance === other.instance
  );
}

function spansOf(states: readonly BindingState[]): Span[] {
  const spans: Span[] = [];
  let requests = new Set<string>();
  let begin: (Moment & { binding: LoggedBinding }) | undefined;
  for (const state of states) {
    if (begin && state.binding && isSameGeneration(begin.binding, state.binding)) {
      requests.add(state.binding.request);
      continue;
    }
    if (begin) {
      spans.push({
        binding: begin.binding,
        requests,
        begin,
        end: state,
        endedBy: state.isLoss ? 'loss' : state.binding ? 'move' : 'deletion',
      });
    }
    begin = state.binding ? { ...state, binding: state.binding } : undefined;
    requests = new Set(state.binding ? [state.binding.request] : []);
  }
  if (begin) {
    spans.push({ binding: begin.binding, requests, begin, end: undefined, endedBy: 'nothing' });
  }
  return spans;
}

/** What a value in etcd says, read without the program's own reader; undefined if it is junk. */
export function readBinding(set: string, text: string): LoggedBinding | undefined {
  try {
    const value = JSON.parse(text);
    const { relay, instance, generation, state, request, begun = request } = value;
    const { createdAt, ttlSeconds, expiresAt } = value;
    return {
      relay: String(relay),
      set,
      instance: String(instance),
      generation: Number(generation),
      state,
      request: String(request),
      begun: String(begun),
      createdAtMs: Date.parse(createdAt),
      ttlSeconds: Number(ttlSeconds),
      expiresAtMs: Date.parse(expiresAt),
    };
  } catch {
    return undefined;
  }
}
