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
  readonly request: string;
  readonly createdAtMs: number;
  readonly ttlSeconds: number;
  readonly expiresAtMs: number;
  readonly released: boolean;
}

/** The value of a call's key from a revision on; undefined if it was deleted. */
export interface BindingState extends Moment {
  readonly binding: LoggedBinding | undefined;
}

/** One generation of one binding, from its first state to the next generation or its deletion. */
export interface Span {
  readonly binding: LoggedBinding;
  readonly begin: Moment;
  /** Undefined while it is in force. */
  readonly end: Moment | undefined;
  readonly endedBy: 'move' | 'deletion' | 'nothing';
}

export interface Registration extends Moment {
  /** Undefined if the registration is gone. */
  readonly instance: string | undefined;
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
  let begin: (Moment & { binding: LoggedBinding }) | undefined;
  for (const state of states) {
    if (begin && state.binding && isSameGeneration(begin.binding, state.binding)) {
      continue;
    }
    if (begin) {
      spans.push({
        binding: begin.binding,
        begin,
        end: state,
        endedBy: state.binding ? 'move' : 'deletion',
      });
    }
    begin = state.binding ? { ...state, binding: state.binding } : undefined;
  }
  if (begin) {
    spans.push({ binding: begin.binding, begin, end: undefined, endedBy: 'nothing' });
  }
  return spans;
}

/** Decodes a value in etcd independently of the program's own decoder; undefined if it is malformed. */
export function readBinding(text: string): LoggedBinding | undefined {
  try {
    const { relay, set, instance, generation, request, createdAt, ttlSeconds, expiresAt, released } =
      JSON.parse(text);
    return {
      relay: String(relay),
      set: String(set),
      instance: String(instance),
      generation: Number(generation),
      request: String(request),
      createdAtMs: Date.parse(createdAt),
      ttlSeconds: Number(ttlSeconds),
      expiresAtMs: Date.parse(expiresAt),
      released: released === true,
    };
  } catch {
    return undefined;
  }
}
