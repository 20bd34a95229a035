const firstTokens = 50;
/** As many requests may be under way on one stream when its server dies, and each of them needs one retry. */
const mostTokens = 10_000;
const tokensPerSuccess = 0.1;

/**
 * Keeps retries from multiplying the load on a server that fails most requests: each failure costs a token, each success
 * earns a tenth of one, and without tokens the server is sent no retries.
 */
export class RetryBudget {
  #tokens = firstTokens;

  get allowRetry(): boolean {
    return this.#tokens >= 1;
  }

  succeeded(): void {
    this.#tokens = Math.min(mostTokens, this.#tokens + tokensPerSuccess);
  }

  failed(): void {
    this.#tokens = Math.max(0, this.#tokens - 1);
  }
}
