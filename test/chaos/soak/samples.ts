import { readdir, readFile } from 'node:fs/promises';
import { Scrape } from '../../support/prometheus.js';
import { prefix, type Stage } from '../stage/stage.js';
import type { Series } from './trend.js';

const mebibyte = 1024 ** 2;
const pageBytes = 4_096;
/** What allocators and collectors may keep for themselves. */
const memory = { unit: 'MiB', by: 'least', allowed: { share: 0.1, amount: 8 } } as const;
const handles = { unit: '', by: 'most', allowed: { share: 0, amount: 8 } } as const;
/** Calls come and go by chance. */
const stored = { unit: '', by: 'most', allowed: { share: 0.15, amount: 50 } } as const;

/** Looks at every process of an installation, and at etcd, from time to time. */
export class Samples {
  readonly #stage: Stage;
  readonly #series = new Map<string, Series>();

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  get series(): readonly Series[] {
    return [...this.#series.values()];
  }

  async take(minutes: number): Promise<void> {
    const add = (name: string, kind: Omit<Series, 'name' | 'points'>, value: number) => {
      const series = this.#series.get(name) ?? { name, ...kind, points: [] };
      this.#series.set(name, series);
      series.points.push({ minutes, value });
    };
    const { replicas, relays, cluster } = this.#stage;
    for (const { name, part, http } of replicas) {
      add(`${name} resident`, memory, await residentMebibytes(part.pid));
      const heap = (await Scrape.of(http)).value('nodejs_heap_size_used_bytes') ?? Number.NaN;
      add(`${name} heap`, memory, heap / mebibyte);
      add(`${name} handles`, handles, await openHandles(part.pid));
    }
    for (const { id, node } of relays) {
      add(`${id} resident`, memory, await residentMebibytes(node.pid));
      add(`${id} handles`, handles, await openHandles(node.pid));
    }
    const { keys, leases } = await cluster.count(`${prefix}/`);
    add('etcd keys', stored, keys);
    add('etcd leases', stored, leases);
  }
}

async function residentMebibytes(pid: number): Promise<number> {
  const [, pages = '0'] = (await readFile(`/proc/${pid}/statm`, 'utf8')).split(' ');
  return (Number(pages) * pageBytes) / mebibyte;
}

async function openHandles(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`)).length;
}
