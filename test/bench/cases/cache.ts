import { fileURLToPath } from 'node:url';
import { startProcess } from '../../support/process.js';
import { nodeArguments } from '../../support/stack.js';
import type { BenchCase, Context, Row, Unit } from '../bench-case.js';
import { inTurn } from '../rounds.js';
import type { CacheFigures } from '../servers/cache.js';
import { median } from '../statistics.js';
import { figure } from '../table.js';

const program = fileURLToPath(new URL('../servers/cache.js', import.meta.url));
const timeoutMs = 600_000;

/** What a replica's cache of bindings takes and how long it holds up the event loop, beside an ordinary `Map`. */
export const cache: BenchCase = {
  name: 'cache',
  title: 'cache of bindings, beside a Map of objects',
  async run(context) {
    const rows: Row[] = [];
    for (const entries of context.pick([200_000, 1_000_000], [10_000])) {
      rows.push(...(await rowsFor(context, entries)));
    }
    return { rows };
  },
};

async function rowsFor(context: Context, entries: number): Promise<Row[]> {
  const { baseline, candidate } = await inTurn(
    context,
    context.pick(3, 1),
    () => measure(context, 'map', entries),
    () => measure(context, 'cache', entries),
  );
  const both = (of: 'collections' | 'majorCollections') =>
    [baseline, candidate].map((rounds) => median(rounds.map((figures) => figures[of]))).join(' and ');
  const notes = {
    'collections, Map and cache': both('collections'),
    'of them major': both('majorCollections'),
  };
  const row = (name: string, unit: Unit, of: keyof CacheFigures, most?: number): Row =>
    context.measured({
      name: `cache of ${figure(entries)} bindings: ${name}`,
      unit,
      against: 'Map of objects',
      baseline: baseline.map((figures) => figures[of]),
      candidate: candidate.map((figures) => figures[of]),
      aims: most === undefined ? [] : [{ of: 'ratio', most }],
      ...(of === 'turnMaxMs' ? { notes } : {}),
    });
  return [
    row('bytes per entry', 'bytes', 'bytesPerEntry', 0.5),
    row('CPU time of a full collection', 'ms', 'fullCollectionMs', 0.5),
    row('CPU time of a turn of the event loop, p99', 'ms', 'turnP99Ms'),
    row('CPU time of a turn of the event loop, longest', 'ms', 'turnMaxMs', 0.5),
    row('CPU time of an operation', 'µs', 'operationUs'),
  ];
}

async function measure(
  { scope, pick }: Context,
  kind: 'map' | 'cache',
  entries: number,
): Promise<CacheFigures> {
  const turns = pick(25_000, 500);
  const args = [...nodeArguments, '--expose-gc', program, kind, String(entries), String(turns)];
  const child = await startProcess(scope, process.execPath, args);
  return JSON.parse(await child.success(timeoutMs));
}
