/**
 * A number of things that owners have together. When there are too many, the owner of the most has to give way: whoever floods
 * harms itself first.
 */
export class FairShare<Owner> {
  readonly #most: number;
  readonly #counts = new Map<Owner, number>();
  #total = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get total(): number {
    return this.#total;
  }

  /** One more. @returns the owner that has to give way, if they are too many now: of several, the one that came first */
  add(owner: Owner): Owner | undefined {
    this.#counts.set(owner, (this.#counts.get(owner) ?? 0) + 1);
    return ++this.#total > this.#most ? this.#largest() : undefined;
  }

  remove(owner: Owner): void {
    const count = this.#counts.get(owner);
    if (count === undefined) {
      return;
    }
    this.#total--;
    if (count > 1) {
      this.#counts.set(owner, count - 1);
    } else {
      this.#counts.delete(owner);
    }
  }

  #largest(): Owner | undefined {
    let most = 0;
    let largest: Owner | undefined;
    for (const [owner, count] of this.#counts) {
      if (count > most) {
        most = count;
        largest = owner;
      }
    }
    return largest;
  }
}
