import assert from 'node:assert/strict';
import type { Binding } from '../../domain/binding.js';
import { relayKey } from '../../domain/relay.js';

/** One life of a relay: what a binding tells of where its call is. */
export type RelayInstance = Pick<Binding, 'relayId' | 'instance'> & { readonly set: string };

interface Numbered extends RelayInstance {
  readonly key: string;
  /** Bindings that stand for it. */
  uses: number;
}

/** A small number for each life of a relay that a binding names: there are few of them, and many bindings. */
export class InstanceTable {
  readonly #byKey = new Map<string, number>();
  readonly #byNumber: (Numbered | undefined)[] = [];
  readonly #free: number[] = [];

  get size(): number {
    return this.#byKey.size;
  }

  /** How many bindings there are of each relay, by `relayKey`. */
  countsByRelay(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const each of this.#byNumber) {
      if (each) {
        const key = relayKey(each.set, each.relayId);
        counts.set(key, (counts.get(key) ?? 0) + each.uses);
      }
    }
    return counts;
  }

  get(number: number): RelayInstance {
    return this.#byNumber[number] as RelayInstance;
  }

  /** The number of this life, which counts as used once more. */
  take({ set, relayId, instance }: RelayInstance): number {
    // Names have no '/'; so these are no two lives' key.
    const key = `${set}/${relayId}/${instance}`;
    const known = this.#byKey.get(key);
    const number = known ?? this.#free.pop() ?? this.#byNumber.length;
    if (known === undefined) {
      this.#byKey.set(key, number);
      this.#byNumber[number] = { set, relayId, instance, key, uses: 0 };
    }
    (this.#byNumber[number] as Numbered).uses++;
    return number;
  }

  /** Used once less; a life that nobody uses is forgotten. */
  release(number: number): void {
    const life = this.#byNumber[number];
    assert.ok(life, 'a number that is released is taken');
    if (--life.uses > 0) {
      return;
    }
    this.#byKey.delete(life.key);
    this.#byNumber[number] = undefined;
    this.#free.push(number);
  }
}
