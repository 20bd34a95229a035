import type { ExecutionContext } from 'ava';
import type { RelayKind } from '../../services/domain/relay.js';
import { Keyspace } from '../../services/registry/keyspace.js';
import { connect } from '../support/etcd.js';
import { aRelay, eventually, putRelay } from '../support/registry.js';
import type { ReplicaProcess } from '../support/stack.js';
import { withstand } from './target.js';

export interface UnusableRelays {
  readonly kind: RelayKind;
  /** Control addresses that nothing can be sent to, or where nobody answers. */
  readonly addresses: readonly string[];
  /** Begins a new call at the gateway; rejects if it is refused. */
  readonly call: () => Promise<void>;
}

/** Registers such relays, each with nearly all of the weight, beside the one that is there, and begins calls. */
export async function withstandUnusableRelays(
  t: ExecutionContext,
  etcd: string,
  { process, client }: ReplicaProcess,
  { kind, addresses, call }: UnusableRelays,
): Promise<void> {
  const registry = connect(t, etcd);
  const keys = new Keyspace('/holdfast/v1');
  const registered = (count: number) =>
    eventually(async () => (await client.listRelays('')).relays.length === count, `${count} relays`);
  const attack = async () => {
    for (const [i, controlUrl] of addresses.entries()) {
      await putRelay(registry, keys, aRelay({ id: `bad-${i}`, kind, controlUrl, weight: 10_000 }));
    }
    await registered(addresses.length + 1);
    // Each of them is tried, many times.
    await Promise.allSettled(Array.from({ length: 200 }, call));
  };
  const end = async () => {
    for (const i of addresses.keys()) {
      await registry.kv.deleteRange({ key: keys.relay('default', `bad-${i}`) });
    }
    await registered(1);
  };
  // A request tries as many relays as there is time for; most here are silent or dead.
  await withstand(t, process, attack, { goodClient: call, end, tolerated: 1, served: 'after' });
}
