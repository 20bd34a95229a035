import { randomBytes } from 'node:crypto';
import type { ResponseHeader } from '../../proto/generated/etcd/rpc.js';
import type { Clock } from '../runtime/clock.js';
import { noSpace } from './errors.js';
import { type HistoryLimits, Keyspace } from './keyspace.js';
import { LeaseTable } from './lease-table.js';
import { Lessor } from './lessor.js';
import { WatchHub } from './watch-hub.js';

/** Accounted for a lease without keys, bytes. */
const leaseBytes = 400;
/** A single member is always the leader of the one term there ever is. */
export const raftTerm = 1n;

const randomId = (): bigint => randomBytes(8).readBigUInt64BE();

/** Everything that one server holds, in memory only. */
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
    return {
      clusterId: this.clusterId,
      memberId: this.memberId,
      revision: BigInt(revision),
      raftTerm,
    };
  }

  /** Before anything that takes memory: refusing a write is better than ending the process. */
  requireSpace(bytes: number): void {
    if (this.usedBytes + bytes > this.#quotaBytes) {
      throw noSpace();
    }
  }
}
