import { Subscribers } from '../runtime/subscribers.js';

/** No cluster writes so much between two answers: it was restored with raised revisions (`etcdutl snapshot restore --bump-revision`). */
const bumpedBy = 100_000_000;

/** What each answer of etcd says of where it comes from. */
export interface AnswerHeader {
  readonly clusterId: string;
  readonly revision: number;
}

/** etcd has another history than before. */
export interface HistoryChange {
  readonly reason: string;
  /** Where the new history was first seen: what it has up to there, it has from an older state or from nobody. */
  readonly revision: number;
}

/**
 * Notices that etcd has another history than the one that this process knows: another cluster answers, or a revision goes back.
 * Then what was read before proves nothing, and what was written before may be gone.
 */
export class EtcdHistory {
  readonly #changes = new Subscribers<HistoryChange>();
  #clusterId = '';
  #revision = 0;
  #epoch = 0;

  onChange(listener: (change: HistoryChange) => void): void {
    this.#changes.add(listener);
  }

  /** A linearizable request is about to be sent. @returns what judges the header of its answer */
  begin(): (header: AnswerHeader) => void {
    // An answer to what was sent now tells at least what the answers before it told.
    const leastRevision = this.#revision;
    const epoch = this.#epoch;
    return (header) => {
      // What was asked in a former history says nothing of this one.
      if (epoch !== this.#epoch) {
        return;
      }
      const { clusterId, revision } = header;
      if (this.#clusterId !== '' && clusterId !== this.#clusterId) {
        this.#begin(header, `cluster ${clusterId} answers instead of ${this.#clusterId}`);
      } else if (revision < leastRevision || (leastRevision > 0 && revision - leastRevision > bumpedBy)) {
        this.#begin(header, `revision ${revision} came after ${leastRevision}`);
      } else {
        this.#clusterId = clusterId;
        this.#revision = Math.max(this.#revision, revision);
      }
    };
  }

  #begin({ clusterId, revision }: AnswerHeader, reason: string): void {
    this.#epoch++;
    this.#clusterId = clusterId;
    this.#revision = revision;
    this.#changes.tell({ reason, revision });
  }
}
