import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Binding } from '../../../services/domain/binding.js';
import { parseCall } from '../../../services/domain/call.js';
import { InvalidValue } from '../../../services/etcd/invalid-value.js';
import { bindingCodec } from '../../../services/registry/codecs/binding.js';
import { systemClock } from '../../../services/runtime/clock.js';
import { BindingCache } from '../../../services/selection/cache/binding-cache.js';
import { LeaseClock } from '../../../services/selection/outage/lease-clock.js';
import { quantile } from '../statistics.js';
import { Collections } from './collections.js';
import { PlainCache } from './plain-cache.js';

/**
 * One cache in a process of its own: fills it, then serves inserts and lookups, a few in each turn of the event loop, and
 * prints one line of JSON. Arguments: `cache` or `map`, entries, turns. Needs `--expose-gc`, and Linux.
 *
 * Times are CPU times: whatever else the machine does is no part of them. A turn does the same work however late it is.
 */
export interface CacheFigures {
  readonly bytesPerEntry: number;
  /** A full collection, all at once and with all threads, ms. V8 spreads most of it over time if it can. */
  readonly fullCollectionMs: number;
  readonly collections: number;
  readonly majorCollections: number;
  /** One turn, with what the collector does in the event loop's own thread, ms. */
  readonly turnP99Ms: number;
  readonly turnMaxMs: number;
  /** All threads, µs for each insert or lookup. */
  readonly operationUs: number;
}

const requestsPerTurn = 3;
const lookupsPerInsert = 2;
const relayCount = 20;
/** Longer than a run, so that every lookup finds its binding. */
const trustMs = 3_600_000;
/** What V8 has not compiled yet is no part of a turn. */
const warmupTurns = 3000;
const pauseMs = 1;
/** What one request allocates besides the binding, in small objects of 64 bytes. */
const garbageObjects = 64;

const [kind = 'cache', ...numbers] = process.argv.slice(2);
const [entries = 1000, turns = 1000] = numbers.map(Number);
const options = { capacity: entries, trustMs };
const cache =
  kind === 'map'
    ? new PlainCache(options)
    : new BindingCache({ clock: systemClock, leaseClock: new LeaseClock(systemClock) }, options);
let inserted = 0;
/** Keeps the last garbage, so that it is really made. */
let sink: unknown;

const emptyBytes = collect().usedBytes;
while (inserted < entries) {
  insert();
  if (inserted % 1000 === 0) {
    await delay(0);
  }
}
const full = collect();
await serve(warmupTurns);
const figures: CacheFigures = {
  bytesPerEntry: (full.usedBytes - emptyBytes) / cache.size,
  fullCollectionMs: full.cpuMs,
  ...(await serve(turns)),
};
process.stdout.write(`${JSON.stringify(figures)}\n`);

async function serve(count: number) {
  const collections = new Collections();
  const turnsMs: number[] = [];
  const cpuBefore = process.cpuUsage();
  let done = 0;
  // Just after a pause the kernel has counted all that came before it.
  let beganAtMs = threadCpuMs();
  while (turnsMs.length < count) {
    for (let i = 0; i < requestsPerTurn; i++) {
      request(done++);
    }
    await delay(pauseMs);
    const nowMs = threadCpuMs();
    turnsMs.push(nowMs - beganAtMs);
    beganAtMs = nowMs;
  }
  return {
    operationUs: (cpuMsSince(cpuBefore) * 1000) / (done * (1 + lookupsPerInsert)),
    ...collections.end(),
    turnP99Ms: quantile(turnsMs, 0.99),
    turnMaxMs: Math.max(...turnsMs),
  };
}

/** CPU time of this thread, which is the event loop's, ms. */
function threadCpuMs(): number {
  return Number(readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ')[0]) / 1e6;
}

/** CPU time of all threads, ms. */
function cpuMsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** One insert, its lookups, and the garbage of a request. */
function request(number: number): void {
  insert();
  for (let i = 0; i < lookupsPerInsert; i++) {
    // 7919 is prime, so that lookups visit every call that is still in the cache.
    const at = inserted - 1 - (((number * lookupsPerInsert + i) * 7919) % entries);
    if (cache.fresh(parseCall(callIdOf(at)))?.revision !== at + 1) {
      throw new Error(`binding ${at} is not in the cache`);
    }
  }
  sink = Array.from({ length: garbageObjects }, (_, at) => ({ at, a: at, b: at, c: at, d: sink !== at }));
}

function insert(): void {
  cache.remember({ binding: bindingOf(inserted), revision: inserted + 1 }, performance.now());
  inserted++;
}

/** As the registry reads one from etcd, so that its strings are as they are in a replica. */
function bindingOf(index: number): Binding {
  const call = parseCall(callIdOf(index));
  const relay = index % relayCount;
  const requestId = crypto.randomUUID();
  const written = bindingCodec.encode({
    call,
    relayId: `relay-${relay}`,
    instance: relay.toString(16).padStart(16, '0'),
    state: 'setup',
    generation: 1,
    requestId,
    beginning: requestId,
    createdAtMs: 1_700_000_000_000 + index,
    ttlSeconds: 3600,
    expiresAtMs: 1_700_005_400_000 + index,
    moves: [],
    notices: [],
  });
  const read = bindingCodec.decode(call.key, written);
  if (read instanceof InvalidValue) {
    throw new Error(`a binding cannot be read back: ${read.reason}`);
  }
  return read;
}

function callIdOf(index: number): string {
  return `${(index * 0x9e_37_79_b1) >>> 0}-${index}@pc33.atlanta.example.com`;
}

function collect() {
  if (!globalThis.gc) {
    throw new Error('start with --expose-gc');
  }
  globalThis.gc();
  const before = process.cpuUsage();
  globalThis.gc();
  const cpuMs = cpuMsSince(before);
  const { heapUsed, external } = process.memoryUsage();
  return { cpuMs, usedBytes: heapUsed + external };
}
