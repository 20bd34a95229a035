import { randomBytes } from 'node:crypto';
import { Long } from '@grpc/proto-loader';
import type { Clock } from '../runtime/clock.js';
import { noSpace } from './errors.js';
import { type HistoryLimits, Keyspace } from './keyspace.js';
import { LeaseTable } from './lease-table.js';
import { Lessor } from './lessor.js';
import type { ResponseHeader } from './messages.js';
import { WatchHub } from './watch-hub.js';

/** What is accounted for a lease that holds no keys. */
const leaseBytes = 400;
/** A single member is always the leader of the one term there ever is. */
export const raftTerm = 1;

const randomId = (): Long => Long.fromBits(randomBytes(4).readInt32BE(), randomBytes(4).readInt32BE(), true);

/** All that one server holds; gone with the process. */
export class EtcdState {
  readonly clusterId = randomId();
  readonly memberId = randomId();
  readonly leases = new LeaseTable();
  readonly keyspace: Keyspace;
  readonly lessor: Lessor;
  readonly watchHub: WatchHub;
  readonly #quotaBytes: number;

  constructor(clock: Clock, limits: HistoryLimits, quotaBytes: number) {
    this.keyspace = new Keyspace(this.leases, limits);
    this.lessor = new Lessor(this.keyspace, this.leases, clock);
    this.watchHub = new WatchHub(this.keyspace);
    this.#quotaBytes = quotaBytes;
  }

  get usedBytes(): number {
    return this.keyspace.totalBytes + this.leases.size * leaseBytes;
  }

  header(revision = this.keyspace.revision): ResponseHeader {
    return { cluster_id: this.clusterId, member_id: this.memberId, revision, raft_term: raftTerm };
  }

  /** Before anything that takes memory: refusing a write is better than ending the process. */
  requireSpace(bytes: number): void {
    if (this.usedBytes + bytes > this.#quotaBytes) {
      throw noSpace();
    }
  }
}
