import { randomBytes } from 'node:crypto';
import { leaseSeconds } from '../../../services/domain/binding.js';
import { parseCall } from '../../../services/domain/call.js';
import { bindingCodec } from '../../../services/registry/codecs/binding.js';
import type { LoadGenerator } from '../load/generator.js';
import type { Calls } from '../load/job.js';
import { callIdOf } from '../load/requests.js';
import type { Etcd } from './etcd.js';
import type { RegisteredRelays } from './relays.js';

const ttlSeconds = 3600;
const perTransaction = 100;
/** Number of different values, for calls on different relays. */
const mostValues = 64;

/** Call-IDs that have not been used before. */
export function freshCalls(count?: number): Calls {
  return { prefix: `call-${randomBytes(5).toString('hex')}`, from: 0, count };
}

/** A replica's value of a call on each of the relays, base64, for loads that write to etcd directly. */
export function bindingValues({ relays }: RegisteredRelays, calls: Calls): string[] {
  const nowMs = Date.now();
  return relays.slice(0, mostValues).map(({ id, set, instance }) =>
    bindingCodec
      .encode({
        call: parseCall(callIdOf(calls, 0), '', set),
        relayId: id,
        instance,
        generation: 1,
        requestId: 'request-0000000000',
        state: 'answered',
        beginning: 'request-0000000000',
        createdAtMs: nowMs,
        ttlSeconds,
        expiresAtMs: nowMs + leaseSeconds(ttlSeconds) * 1000,
        moves: [],
        notices: [],
      })
      .toString('base64'),
  );
}

/** Writes bindings of answered calls directly to etcd, with the same keys, values and leases as a replica. */
export async function fillBindings(
  load: LoadGenerator,
  etcd: Etcd,
  relays: RegisteredRelays,
  calls: Calls & { readonly count: number },
): Promise<void> {
  await load.run({
    target: {
      kind: 'etcd',
      endpoint: etcd.endpoint,
      prefix: relays.keys.calls,
      calls,
      batch: perTransaction,
      values: bindingValues(relays, calls),
      ttlSeconds: ttlSeconds * 2,
    },
    loop: { kind: 'count', concurrency: 4, operations: Math.ceil(calls.count / perTransaction) },
  });
}
