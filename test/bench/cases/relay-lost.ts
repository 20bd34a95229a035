import { setTimeout as delay } from 'node:timers/promises';
import type { BenchCase } from '../bench-case.js';
import { fillBindings, freshCalls } from '../stage/bindings.js';
import type { Etcd } from '../stage/etcd.js';
import { figure } from '../table.js';
import { setSpeedStage, streamTarget } from './speed-stage.js';

const relayCount = 50;
const batch = 1000;

/** One relay of fifty is lost: which other calls move? Selects all calls again, and compares their bindings in etcd. */
export const relayLost: BenchCase = {
  name: 'relay-lost',
  title: 'one relay of 50 is lost: calls moved without need',
  async run(context) {
    const { etcd, relays, replica, load } = await setSpeedStage(context, { relayCount });
    const calls = { ...freshCalls(), count: context.pick(50_000, 2000) };
    await fillBindings(load, etcd, relays, calls);
    const before = await relayOfCalls(etcd, relays.keys.calls);
    const lost = relays.relays[17];
    if (!lost) {
      throw new Error('no relay to lose');
    }
    await relays.remove(lost);
    await delay(200);
    const result = await load.attempt({
      target: streamTarget(replica, calls),
      loop: { kind: 'count', concurrency: 256, operations: calls.count },
    });
    const after = await relayOfCalls(etcd, relays.keys.calls);
    const moved = [...after].filter(([callId, relay]) => before.get(callId) !== relay);
    const needless = moved.filter(([callId]) => before.get(callId) !== lost.id).length;
    const stranded = [...after.values()].filter((relay) => relay === lost.id).length;
    const lostCalls = [...before.values()].filter((relay) => relay === lost.id).length;
    const row = { unit: 'calls', against: '', baseline: [], aims: [{ of: 'candidate', most: 0 }] } as const;
    return {
      rows: [
        {
          ...row,
          name: 'relay lost, 1 of 50: calls moved that need not',
          candidate: [needless],
          notes: { 'calls bound': figure(calls.count), 'calls of the lost relay': figure(lostCalls) },
        },
        { ...row, name: 'relay lost, 1 of 50: its calls not moved', candidate: [stranded + result.errors] },
      ],
    };
  },
};

async function relayOfCalls({ client }: Etcd, prefix: string): Promise<Map<string, string>> {
  const relays = new Map<string, string>();
  let from = Buffer.from(prefix);
  const end = Buffer.from(prefix.replace(/\/$/, '0'));
  for (let more = true; more; ) {
    const page = await client.kv.range({ key: from, range_end: end, limit: batch });
    for (const { key, value } of page.kvs) {
      relays.set(key.toString(), JSON.parse(value.toString()).relay);
    }
    more = page.more;
    const last = page.kvs.at(-1);
    if (last) {
      from = Buffer.concat([last.key, Buffer.of(0)]);
    }
  }
  return relays;
}
