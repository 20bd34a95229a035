import { EtcdState } from '../../../services/embedded-etcd/state.js';
import { isTombstone, type LeaseId, type Version } from '../../../services/embedded-etcd/version.js';
import type { Clock } from '../../../services/runtime/clock.js';

const limits = { maxEvents: 1_000_000, maxBytes: 1 << 30 };
const quotaBytes = 1 << 30;

/** What `etcdutl snapshot save` writes. */
export interface Snapshot {
  readonly revision: number;
  readonly leases: readonly { readonly id: LeaseId; readonly ttlSeconds: number }[];
  readonly journal: readonly (readonly Version[])[];
}

/** The data of a cluster, and all its changes since it was empty, of which snapshots are made. */
export class Store {
  readonly state: EtcdState;
  readonly #journal: (readonly Version[])[] = [];

  constructor(clock: Clock, from?: Snapshot) {
    const state = new EtcdState(clock, limits, quotaBytes);
    this.state = state;
    state.keyspace.onCommit((events) => this.#journal.push(events));
    for (const { id, ttlSeconds } of from?.leases ?? []) {
      state.lessor.grant(id, ttlSeconds);
    }
    // One write for each revision gives all keys the revisions that they had.
    for (const events of from?.journal ?? []) {
      state.keyspace.write((writer) => {
        for (const event of events) {
          if (isTombstone(event)) {
            writer.delete({ from: event.key, to: undefined });
          } else {
            writer.put(event.key, event.value, event.lease);
          }
        }
      });
    }
  }

  snapshot(): Snapshot {
    const { keyspace, leases } = this.state;
    return {
      revision: keyspace.revision,
      leases: leases.all().map(({ id, ttlSeconds }) => ({ id, ttlSeconds })),
      journal: [...this.#journal],
    };
  }

  /** A new leader gives each lease its whole time again, as etcd's does. */
  renewLeases(): void {
    for (const { id } of this.state.leases.all()) {
      this.state.lessor.renew(id);
    }
  }
}
