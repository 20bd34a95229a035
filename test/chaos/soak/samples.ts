import { readdir, readFile } from 'node:fs/promises';
import { Scrape } from '../../support/prometheus.js';
import { prefix, type Stage } from '../stage/stage.js';
import type { Series } from './trend.js';

const mebibyte = 1024 ** 2;
const pageBytes = 4096;
/** Memory that is left after garbage collection. */
const memory = { unit: 'MiB', by: 'least', allowed: { share: 0.1, amount: 8 } } as const;
/** Allocators keep the memory of a burst, and return it at an arbitrary time. */
const resident = { unit: 'MiB', by: 'least', allowed: { share: 0.25, amount: 24 } } as const;
const handles = { unit: '', by: 'most', allowed: { share: 0, amount: 8 } } as const;
/** Depends on the number of calls, which varies at random. */
const media = { unit: '', by: 'most', allowed: { share: 0.25, amount: 16 } } as const;
const stored = { unit: '', by: 'most', allowed: { share: 0.15, amount: 50 } } as const;

/** Periodic samples of every process of an installation and of etcd. */
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
    for (const { name, component, http } of replicas) {
      add(`${name} resident`, resident, await residentMebibytes(component.pid));
      const metrics = await Scrape.of(http);
      const mebibytes = (metric: string) => (metrics.value(metric) ?? Number.NaN) / mebibyte;
      add(`${name} heap`, memory, mebibytes('nodejs_heap_size_used_bytes'));
      add(`${name} buffers`, memory, mebibytes('nodejs_external_memory_bytes'));
      add(`${name} handles`, handles, await openHandles(component.pid));
    }
    for (const { id, node } of relays) {
      add(`${id} resident`, resident, await residentMebibytes(node.pid));
      add(`${id} handles`, media, await openHandles(node.pid));
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
