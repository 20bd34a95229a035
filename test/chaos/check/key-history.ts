interface Value<T> {
  readonly revision: number;
  readonly value: T | undefined;
}

/** What each key has had since the beginning, for when all go back to an earlier revision. */
export class KeyHistory<T> {
  readonly #values = new Map<string, Value<T>[]>();

  get(key: string): T | undefined {
    return this.#values.get(key)?.at(-1)?.value;
  }

  set(key: string, revision: number, value: T): void {
    const known = this.#values.get(key) ?? [];
    this.#values.set(key, known);
    known.push({ revision, value });
  }

  /** From a revision on all keys have what they had at an earlier one; nothing, if that is 0. */
  restore(revision: number, from: number): void {
    for (const values of this.#values.values()) {
      const { value } = values.findLast((each) => each.revision <= from) ?? { value: undefined };
      values.push({ revision, value });
    }
  }
}
