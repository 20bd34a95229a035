import type { Binding, StoredBinding } from '../domain/binding.js';
import { type Call, callFromKey, parseCall } from '../domain/call.js';
import type { EtcdConnection } from '../etcd/connection.js';
import { etcdUnavailable, LeaseGoneError } from '../etcd/errors.js';
import type { GroupCommit } from '../etcd/group-commit.js';
import type { LeasePool } from '../etcd/lease-pool.js';
import { endOfPrefix } from '../etcd/range.js';
import type { Compare, KeyValue, Operation, TxnResult } from '../etcd/txn-codec.js';
import type { Logger } from '../runtime/log.js';
import { decodeBinding, encodeBinding } from './binding-value.js';
import type { Keyspace } from './keyspace.js';

/** What must be true of a relay's registration for a write to happen. */
export interface RelayGuard {
  readonly set: string;
  readonly id: string;
  /** Mod revision that was seen of the registration; 0 for «not registered». */
  readonly revision: number;
}

export interface BindingWrite {
  readonly binding: Binding;
  /** Mod revision that was seen of the call's key; 0 for «no such key». */
  readonly expected: number;
  readonly guards: readonly RelayGuard[];
  /** How long the key must live at least from now, seconds. */
  readonly lifetimeSeconds: number;
}

/** What etcd holds under a call's key. `binding` is undefined if it is nothing, or junk. */
export interface Found {
  readonly revision: number;
  readonly binding: Binding | undefined;
}

export type WriteOutcome =
  | { readonly written: true; readonly stored: StoredBinding }
  /** A guard did not hold; nothing was written. `guardsHeld` false: what was seen of a relay is not so any more. */
  | { readonly written: false; readonly found: Found; readonly guardsHeld: boolean };

/** Caches hear of moves by these keys; long enough for the slowest of them to hear, short enough to stay few. */
const moveLifetimeSeconds = 60;
const pageSize = 1000;

export interface BindingStoreDeps {
  readonly connection: EtcdConnection;
  readonly commits: GroupCommit;
  readonly leases: LeasePool;
  readonly keys: Keyspace;
  readonly log: Logger;
}

/** The bindings in etcd. Every write is guarded by what its writer has seen. */
export class BindingStore {
  readonly #deps: BindingStoreDeps;

  constructor(deps: BindingStoreDeps) {
    this.#deps = deps;
  }

  /** @throws HoldfastError `unavailable` or `overloaded` */
  async read(call: Call): Promise<Found> {
    return this.#found(call, await this.#deps.commits.read({ key: this.#deps.keys.call(call) }));
  }

  /**
   * The bindings of a whole call and of each of its branches. Junk is left out.
   * @throws HoldfastError `unavailable` or `overloaded`
   */
  async readAll(callId: string): Promise<StoredBinding[]> {
    const { commits, keys } = this.#deps;
    const whole = keys.call(parseCall(callId));
    const branches = Buffer.concat([whole, Buffer.from('/')]);
    const ranges = await Promise.all([
      commits.read({ key: whole }),
      commits.read({ key: branches, range_end: endOfPrefix(branches.toString()), limit: pageSize }),
    ]);
    return ranges.flat().flatMap((kv) => this.#stored(kv) ?? []);
  }

  /** @throws HoldfastError `unavailable` (the outcome is unknown) or `overloaded` (nothing was written) */
  async write(write: BindingWrite): Promise<WriteOutcome> {
    try {
      return await this.#attempt(write);
    } catch (error) {
      if (!(error instanceof LeaseGoneError)) {
        throw error;
      }
    }
    // Its lease was forgotten: the second attempt takes another.
    try {
      return await this.#attempt(write);
    } catch (error) {
      throw error instanceof LeaseGoneError ? etcdUnavailable('renewing leases', error) : error;
    }
  }

  async #attempt({ binding, expected, guards, lifetimeSeconds }: BindingWrite): Promise<WriteOutcome> {
    const { commits, leases, keys } = this.#deps;
    const { call, generation } = binding;
    const key = keys.call(call);
    const moved = generation > 1 && expected > 0 && guards.length > 0;
    const taken = [leases.take(lifetimeSeconds), moved ? leases.take(moveLifetimeSeconds) : ''];
    const [lease = '', moveLease = ''] = taken.every((each) => typeof each === 'string')
      ? taken
      : await Promise.all(taken);
    const success: Operation[] = [{ request_put: { key, value: encodeBinding(binding), lease } }];
    if (moved) {
      success.push({
        request_put: { key: keys.move(call), value: encodeMove(binding), lease: moveLease },
      });
    }
    const compare = [
      modRevisionIs(key, expected),
      ...guards.map(({ set, id, revision }) => modRevisionIs(keys.relay(set, id), revision)),
    ];
    const failure = compare.map((each) => ({ request_range: { key: each.key } }));
    let result: TxnResult;
    try {
      result = await commits.write({ key: call.key, compare, success, failure });
    } catch (error) {
      // Which of the leases it was, nobody knows.
      if (error instanceof LeaseGoneError) {
        for (const each of [lease, moveLease]) {
          leases.forget(each);
        }
      }
      throw error;
    }
    const { succeeded, responses } = result;
    const revision = responses[0]?.response_put?.revision ?? 0;
    if (succeeded) {
      return { written: true, stored: { binding, revision } };
    }
    const [found, ...registrations] = responses.map(({ response_range }) => response_range?.kvs);
    return {
      written: false,
      found: this.#found(call, found),
      guardsHeld: guards.every(({ revision }, i) => modRevision(registrations[i]) === revision),
    };
  }

  /**
   * All bindings at one etcd revision, page by page, in the order of their keys.
   * @throws HoldfastError `unavailable`
   */
  async *list(): AsyncGenerator<StoredBinding> {
    const { connection, keys } = this.#deps;
    const end = endOfPrefix(keys.calls);
    let from = Buffer.from(keys.calls);
    let revision = '0';
    for (let more = true; more; ) {
      const page = await connection
        .range({ key: from, range_end: end, limit: pageSize, revision })
        .catch((error) => {
          throw etcdUnavailable('listing bindings', error);
        });
      if (revision === '0') {
        revision = page.header.revision;
      }
      for (const kv of page.kvs) {
        const stored = this.#stored(kv);
        if (stored) {
          yield stored;
        }
      }
      more = page.more;
      const last = page.kvs.at(-1);
      if (last) {
        from = Buffer.concat([last.key, Buffer.of(0)]);
      }
    }
  }

  #found(call: Call, [kv]: readonly KeyValue[] = []): Found {
    return kv ? { revision: kv.mod_revision, binding: this.#decode(call, kv) } : nothing;
  }

  #stored(kv: Entry): StoredBinding | undefined {
    const call = callFromKey(kv.key.toString().slice(this.#deps.keys.calls.length));
    const binding = call && this.#decode(call, kv);
    return binding && { binding, revision: Number(kv.mod_revision) };
  }

  #decode(call: Call, kv: Entry): Binding | undefined {
    const binding = decodeBinding(call, kv.value);
    if (!binding) {
      this.#deps.log.warn({ callId: call.callId, revision: kv.mod_revision }, 'junk in etcd; skipped');
    }
    return binding;
  }
}

/** A key with its value, as transactions and ranges answer it. */
type Entry = Pick<KeyValue, 'key' | 'value'> & { readonly mod_revision: number | string };

const nothing: Found = { revision: 0, binding: undefined };

/** Of a key that does not exist, etcd takes the mod revision to be 0. */
function modRevisionIs(key: Buffer, revision: number): Compare {
  return { result: 'Equal', target: 'Mod', key, mod_revision: revision };
}

function modRevision([kv]: readonly KeyValue[] = []): number {
  return kv?.mod_revision ?? 0;
}

function encodeMove({ generation, relayId }: Binding): Buffer {
  return Buffer.from(JSON.stringify({ generation, relay: relayId }));
}

/** The generation that a `moves/` value tells, or undefined if it is junk. */
export function decodeMove(_key: string, bytes: Buffer): number | undefined {
  try {
    const { generation } = JSON.parse(bytes.toString());
    return Number.isSafeInteger(generation) ? generation : undefined;
  } catch {
    return undefined;
  }
}
