import assert from 'node:assert/strict';

/** Which kinds of state may follow which. */
export type Transitions<State extends { readonly name: string }> = Readonly<
  Record<State['name'], readonly State['name'][]>
>;

/** Is in one of several states at a time, and changes between them as its table of transitions allows. */
export class StateMachine<State extends { readonly name: string }> {
  readonly #transitions: Transitions<State>;
  #state: State;

  constructor(initial: State, transitions: Transitions<State>) {
    this.#state = initial;
    this.#transitions = transitions;
  }

  get state(): State {
    return this.#state;
  }

  /** @throws AssertionError if the table has no such transition, which is a mistake of the caller */
  enter(next: State): void {
    const from: State['name'] = this.#state.name;
    assert.ok(this.#transitions[from].includes(next.name), `illegal transition: ${from} to ${next.name}`);
    this.#state = next;
  }
}
