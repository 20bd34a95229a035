/** An answer of another cluster than the one in use. Another endpoint may be of the right one. */
export class WrongClusterError extends Error {
  override readonly name = 'WrongClusterError';

  constructor(
    readonly endpoint: string,
    readonly clusterId: string,
    readonly expectedId: string,
  ) {
    super(`${endpoint} is of the etcd cluster ${clusterId}, and the one in use is ${expectedId}`);
  }
}

/**
 * Keeps to one etcd cluster: answers of another are refused, so that no view is made of two. The cluster in use changes
 * only when it was replaced by another one: that one has more of the endpoints, by what each said last; or it has taken one
 * of them over, and has more than still answer for the cluster in use. So an endpoint that was listed by mistake changes
 * nothing, not even while all others are down.
 */
export class ClusterGuard {
  readonly #onRefused: (error: WrongClusterError) => void;
  /** What each endpoint said last. */
  readonly #votes = new Map<string, { readonly clusterId: string; isSilent: boolean }>();
  /** Clusters that have taken an endpoint from the one in use. */
  readonly #successors = new Set<string>();
  #inUse = '';

  constructor(onRefused: (error: WrongClusterError) => void) {
    this.#onRefused = onRefused;
  }

  /** A read or a write was answered. @throws WrongClusterError if the answer must not be used */
  admit(endpoint: string, clusterId: string): void {
    this.#vote(endpoint, clusterId);
    this.#decide(clusterId);
    this.expect(endpoint, clusterId);
  }

  /** Not the cluster in use. */
  isOther(clusterId: string): boolean {
    return this.#inUse !== '' && clusterId !== this.#inUse;
  }

  /** Something came over a stream. Streams follow reads and writes. @throws WrongClusterError */
  expect(endpoint: string, clusterId: string): void {
    if (this.isOther(clusterId)) {
      const error = new WrongClusterError(endpoint, clusterId, this.#inUse);
      this.#onRefused(error);
      throw error;
    }
  }

  /** What others than these have said counts no more. */
  retain(endpoints: readonly string[]): void {
    for (const endpoint of this.#votes.keys()) {
      if (!endpoints.includes(endpoint)) {
        this.#votes.delete(endpoint);
      }
    }
  }

  /** The endpoint does not answer. */
  silent(endpoint: string): void {
    const vote = this.#votes.get(endpoint);
    if (vote) {
      vote.isSilent = true;
    }
  }

  /**
   * All endpoints were asked, and these have answered. At first the cluster of most of them is used; of the one that is
   * listed first, where that does not decide.
   */
  hear(answers: readonly { readonly endpoint: string; readonly clusterId: string }[]): void {
    for (const { endpoint, clusterId } of answers) {
      this.#vote(endpoint, clusterId);
    }
    const isFirst = this.#inUse === '';
    for (const { clusterId } of answers) {
      if (isFirst && this.#count(clusterId) > this.#count(this.#inUse)) {
        this.#inUse = clusterId;
      }
      this.#decide(clusterId);
    }
    for (const { endpoint, clusterId } of answers.filter((each) => this.isOther(each.clusterId))) {
      this.#onRefused(new WrongClusterError(endpoint, clusterId, this.#inUse));
    }
  }

  #vote(endpoint: string, clusterId: string): void {
    const before = this.#votes.get(endpoint)?.clusterId;
    this.#votes.set(endpoint, { clusterId, isSilent: false });
    if (before === this.#inUse && clusterId !== before) {
      this.#successors.add(clusterId);
    }
  }

  /** Takes the cluster into use, if there is none yet, or if it has replaced the one in use. */
  #decide(clusterId: string): void {
    if (this.#inUse === '' || (clusterId !== this.#inUse && this.#isReplacedBy(clusterId))) {
      this.#inUse = clusterId;
      this.#successors.clear();
    }
  }

  #isReplacedBy(clusterId: string): boolean {
    const theirs = this.#count(clusterId);
    const isSuccessor = this.#successors.has(clusterId);
    return (
      theirs > this.#count(this.#inUse) ||
      (isSuccessor && theirs > this.#count(this.#inUse, ({ isSilent }) => !isSilent))
    );
  }

  #count(clusterId: string, counts: (vote: { readonly isSilent: boolean }) => boolean = () => true): number {
    return [...this.#votes.values()].filter((vote) => vote.clusterId === clusterId && counts(vote)).length;
  }
}
