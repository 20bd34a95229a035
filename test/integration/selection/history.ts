import type { Etcd3 } from 'etcd3';
import { parseCall } from '../../../services/domain/call.js';
import type { HoldfastEvent } from '../../../services/domain/events.js';
import { endOfPrefix } from '../../../services/etcd/range.js';
import type { Keyspace } from '../../../services/registry/keyspace.js';
import type { HistoryLoss } from '../../../services/selection/cache/binding-cache.js';
import type { TestSelector } from '../../support/registry.js';

/** How tests lose what etcd had, and tell replicas. */

export const replaced = { kind: 'replaced', reason: 'test', revision: 0 } as const;
/** All that etcd has is from an older state. */
export const restored = { ...replaced, revision: Number.MAX_SAFE_INTEGER } as const;
export const ids = (what: string, count: number) => Array.from({ length: count }, (_, i) => `${what}-${i}`);

export async function wipe(client: Etcd3, { calls, moves }: Keyspace): Promise<void> {
  for (const prefix of [calls, moves]) {
    await client.kv.deleteRange({ key: Buffer.from(prefix), range_end: endOfPrefix(prefix) });
  }
}

/** As the engine does when it hears that etcd has another history. */
export function beginHistory({ selector, engine }: TestSelector, loss: HistoryLoss = replaced): void {
  selector.beginHistory(loss);
  void engine.rebuilder.rebuild();
}

export const bindingOf = async ({ store }: TestSelector, id: string) =>
  (await store.read(parseCall(id))).binding;

export const rebuiltBy = (replica: TestSelector) =>
  new Promise<HoldfastEvent>((resolve) => {
    replica.events.subscribe((event) => event.type === 'bindingsReasserted' && resolve(event));
  });
