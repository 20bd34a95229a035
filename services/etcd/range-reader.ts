import type { IRangeResponse } from 'etcd3';
import type { EtcdConnection } from './connection.js';
import { isTooLargeToReceive } from './errors.js';
import { isAnswer } from './failover.js';
import { endOfPrefix } from './range.js';

/** Keys in a page, at first and at most. */
const maxPageSize = 5000;
/** Pages shrink to a quarter, and grow to twice the size. */
const shrinkBy = 4;
const growBy = 2;
/** Limit of one page, ms. */
const pageTimeoutMs = 5000;

/**
 * Reads all keys with a prefix, page by page, at one revision. Anybody may have put large values there: a page that is too
 * large to receive, or takes too long, is read again in smaller ones.
 */
export class RangeReader {
  readonly #connection: EtcdConnection;
  #pageSize = maxPageSize;

  constructor(connection: EtcdConnection) {
    this.#connection = connection;
  }

  /** @param prefix ends in '/' @throws what etcd answered, or that it did not */
  async *pages(prefix: string): AsyncGenerator<IRangeResponse> {
    const range_end = endOfPrefix(prefix);
    let key = Buffer.from(prefix);
    let revision = 0;
    for (;;) {
      const page = await this.#page({ key, range_end, revision });
      yield page;
      revision ||= Number(page.header.revision);
      const last = page.kvs.at(-1);
      if (!page.more || !last) {
        return;
      }
      key = Buffer.concat([last.key, Buffer.of(0)]);
    }
  }

  async #page(range: { readonly key: Buffer; readonly range_end: Buffer; readonly revision: number }) {
    for (;;) {
      const limit = this.#pageSize;
      try {
        const page = await this.#connection.range(
          { ...range, limit },
          { deadline: Date.now() + pageTimeoutMs },
        );
        this.#pageSize = Math.min(maxPageSize, limit * growBy);
        return page;
      } catch (error) {
        const isTooLarge = isTooLargeToReceive(error);
        if (isTooLarge || !isAnswer(error)) {
          // One that was late may have been too large for the time. The next attempt asks for less.
          this.#pageSize = Math.ceil(limit / shrinkBy);
        }
        if (!isTooLarge || limit === 1) {
          throw error;
        }
      }
    }
  }
}
