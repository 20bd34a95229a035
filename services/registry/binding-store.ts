import type { Binding, StoredBinding } from '../domain/binding.js';
import { type Call, inSet, keyPrefixOf } from '../domain/call.js';
import { defaultSet } from '../domain/name.js';
import { isAsSeen, modRevisionIs } from '../etcd/compare.js';
import type { EtcdConnection } from '../etcd/connection.js';
import { etcdUnavailable, LeaseGoneError } from '../etcd/errors.js';
import type { GroupCommit } from '../etcd/group-commit.js';
import { InvalidValue } from '../etcd/invalid-value.js';
import type { LeasePool } from '../etcd/lease-pool.js';
import { endOfPrefix } from '../etcd/range.js';
import { RangeReader } from '../etcd/range-reader.js';
import type { KeyValue, Operation, Range, TxnResult } from '../etcd/txn-codec.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import { RateLimitedWarning } from '../runtime/rate-limited-warning.js';
import { bindingCodec } from './codecs/binding.js';
import { moveCodec } from './codecs/move.js';
import type { Keyspace } from './keyspace.js';

/** What must be true of a relay's registration for a write to happen. */
export interface RelayGuard {
  readonly set: string;
  readonly id: string;
  /** Mod revision that was seen of the registration; 0 if it is not registered. */
  readonly revision: number;
  /** Its lease, where it is known. */
  readonly lease?: string | undefined;
}

export interface BindingWrite {
  readonly binding: Binding;
  /** Mod revision that was seen of the call's key; 0 if there is no such key. */
  readonly expected: number;
  readonly guards: readonly RelayGuard[];
  /** Write only if no other set has the call either. With `expected` 0. */
  readonly alone?: boolean;
  /** What replicas remember of the call is history with this: it has moved or begun again. They are told. */
  readonly outdates?: boolean;
  /** How long the key must live at least from now, seconds. */
  readonly lifetimeSeconds: number;
}

/** What etcd holds of a call. `binding` is undefined if it is nothing, or junk. */
export interface Found {
  /** In the set where it was found, or in which it would be bound. */
  readonly call: Call;
  readonly revision: number;
  readonly binding: Binding | undefined;
  /** Other sets, or branches, have a binding of this Call-ID. */
  readonly hasOthers: boolean;
  /** What a restored etcd has, but the call has left behind: `binding` is undefined then. Set by who knows that. */
  readonly outdated?: Binding;
  /** What etcd ought to have, and has not: nobody has released it, as far as is known, and its time has not run out. Set alike. */
  readonly missing?: Binding;
}

export type WriteOutcome =
  | { readonly written: true; readonly stored: StoredBinding }
  /** A guard did not hold; nothing was written. `guardsHeld` false: what was seen of a relay is not so any more. */
  | { readonly written: false; readonly found: Found; readonly guardsHeld: boolean };

/** Caches hear of moves and new beginnings by these keys; long enough for the slowest of them to hear, short enough to stay few. */
const moveLifetimeSeconds = 60;
/** Sets and branches of one Call-ID that are looked at. */
const maxOfCallId = 64;

export interface BindingStoreDeps {
  readonly connection: EtcdConnection;
  readonly commits: GroupCommit;
  readonly leases: LeasePool;
  readonly keys: Keyspace;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The bindings in etcd. Every write is guarded by what its writer has seen. */
export class BindingStore {
  readonly #deps: BindingStoreDeps;
  readonly #junk: RateLimitedWarning;

  constructor(deps: BindingStoreDeps) {
    this.#deps = deps;
    this.#junk = new RateLimitedWarning('junk in etcd; skipped', deps.clock, deps.log);
  }

  /**
   * A call that names no set is looked for in all of them.
   * @throws HoldfastError `unavailable` or `overloaded`
   */
  async read(call: Call): Promise<Found> {
    return this.#found(call, await this.#deps.commits.read(this.#rangeOf(call, call.anySet)));
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

  async #attempt({
    binding,
    expected,
    guards,
    alone = false,
    outdates = false,
    lifetimeSeconds,
  }: BindingWrite): Promise<WriteOutcome> {
    const { commits, leases, keys } = this.#deps;
    const { call } = binding;
    const key = keys.call(call);
    const taken = [leases.take(lifetimeSeconds), outdates ? leases.take(moveLifetimeSeconds) : ''];
    const [lease = '', moveLease = ''] = taken.every((each) => typeof each === 'string')
      ? taken
      : await Promise.all(taken);
    const success: Operation[] = [{ request_put: { key, value: bindingCodec.encode(binding), lease } }];
    if (outdates) {
      success.push({
        request_put: { key: keys.move(call), value: moveCodec.encode(binding), lease: moveLease },
      });
    }
    const own = alone ? { ...this.#rangeOf(call, true), revision: 0 } : { key, revision: expected };
    const compare = [
      modRevisionIs(own),
      ...guards.flatMap(({ set, id, revision, lease }) => isAsSeen(keys.relay(set, id), revision, lease)),
    ];
    const failure = [
      { request_range: this.#rangeOf(call, alone) },
      ...guards.map(({ set, id }) => ({ request_range: { key: keys.relay(set, id) } })),
    ];
    let result: TxnResult;
    try {
      result = await commits.write({ key: keyPrefixOf(call), compare, success, failure });
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
      found: this.#found(alone ? { ...call, anySet: true } : call, found),
      guardsHeld: guards.every((guard, i) => holds(guard, registrations[i])),
    };
  }

  /**
   * All bindings at one etcd revision, page by page, in the order of their keys.
   * @throws HoldfastError `unavailable`
   */
  async *list(): AsyncGenerator<StoredBinding> {
    const { connection, keys } = this.#deps;
    const pages = new RangeReader(connection).pages(keys.calls);
    try {
      for await (const page of pages) {
        for (const kv of page.kvs) {
          const stored = this.#stored(kv);
          if (stored) {
            yield stored;
          }
        }
      }
    } catch (error) {
      throw etcdUnavailable('listing bindings', error);
    }
  }

  /** All of a Call-ID, or the one key. */
  #rangeOf(call: Call, anySet: boolean): Range {
    const { keys } = this.#deps;
    if (!anySet) {
      return { key: keys.call(call) };
    }
    const prefix = keys.calls + keyPrefixOf(call);
    return { key: Buffer.from(prefix), range_end: endOfPrefix(prefix), limit: maxOfCallId };
  }

  /** Where a call is that names no set: in the default one, or in the only other one that has it. */
  #found(call: Call, kvs: readonly KeyValue[] = []): Found {
    const { keys } = this.#deps;
    const keyed = kvs.map((kv) => ({ kv, key: kv.key.toString().slice(keys.calls.length) }));
    const own = keyed.find(({ key }) => key === call.key);
    const others = keyed.filter(({ kv }) => kv !== own?.kv);
    const hasOthers = others.length > 0;
    if (own || !call.anySet) {
      const binding = own && this.#decode(own.key, own.kv);
      return { call: inSet(call, call.set), revision: own?.kv.mod_revision ?? 0, binding, hasOthers };
    }
    const alike = others.flatMap(({ kv, key }) => {
      const binding = this.#decode(key, kv);
      return binding?.call.branch === call.branch ? { binding, revision: kv.mod_revision } : [];
    });
    const [elsewhere] = alike;
    if (elsewhere && alike.length === 1) {
      return { call: elsewhere.binding.call, ...elsewhere, hasOthers };
    }
    return { call: inSet(call, defaultSet), revision: 0, binding: undefined, hasOthers };
  }

  #stored(kv: Entry): StoredBinding | undefined {
    const binding = this.#decode(kv.key.toString().slice(this.#deps.keys.calls.length), kv);
    return binding && { binding, revision: Number(kv.mod_revision) };
  }

  #decode(key: string, kv: Entry): Binding | undefined {
    const binding = bindingCodec.decode(key, kv.value);
    if (binding instanceof InvalidValue) {
      this.#junk.warn({
        key: this.#deps.keys.calls + key,
        revision: kv.mod_revision,
        reason: binding.reason,
      });
      return undefined;
    }
    return binding;
  }
}

/** A key with its value, as transactions and ranges answer it. */
type Entry = Pick<KeyValue, 'key' | 'value'> & { readonly mod_revision: number | string };

function holds({ revision, lease }: RelayGuard, [kv]: readonly KeyValue[] = []): boolean {
  return (kv?.mod_revision ?? 0) === revision && (lease === undefined || (kv?.lease ?? '0') === lease);
}
