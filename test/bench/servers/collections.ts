import { constants, PerformanceObserver } from 'node:perf_hooks';

/** Counts collections of garbage from now on. */
export class Collections {
  #all = 0;
  #major = 0;
  readonly #observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      this.#all++;
      // The types of Node leave out what an entry of kind `gc` says of itself.
      this.#major += Reflect.get(entry, 'detail')?.kind === constants.NODE_PERFORMANCE_GC_MAJOR ? 1 : 0;
    }
  });

  constructor() {
    this.#observer.observe({ entryTypes: ['gc'] });
  }

  end() {
    this.#observer.disconnect();
    return { collections: this.#all, majorCollections: this.#major };
  }
}
