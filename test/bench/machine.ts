import { execFileSync } from 'node:child_process';
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { median } from './statistics.js';

/** The machine of a measurement, without which its numbers mean nothing. */
export interface Machine {
  readonly date: string;
  readonly cores: number;
  readonly processor: string;
  readonly memoryGiB: number;
  readonly node: string;
  readonly etcd: string;
  /** One 4 KiB write and fdatasync on the disk that etcd writes to, median, ms. */
  readonly fsyncMs: number;
  /** Load average at the start: with other load the numbers are noise. */
  readonly loadBefore: number;
}

export function describeMachine(): Machine {
  return {
    date: new Date().toISOString(),
    cores: availableParallelism(),
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    node: process.version,
    etcd: etcdVersion(),
    fsyncMs: fsyncMs(),
    loadBefore: loadavg()[0] ?? 0,
  };
}

export function machineText({
  date,
  cores,
  processor,
  memoryGiB,
  node,
  etcd,
  fsyncMs,
  loadBefore,
}: Machine): string {
  return [
    `${date}; ${cores} cores (${processor}), ${memoryGiB} GiB; node ${node}; etcd ${etcd}`,
    `fdatasync of 4 KiB ${fsyncMs.toFixed(2)} ms; load average before the run ${loadBefore.toFixed(1)}`,
  ].join('\n');
}

function etcdVersion(): string {
  try {
    return (
      /etcd Version: (\S+)/.exec(execFileSync('etcd', ['--version'], { encoding: 'utf8' }))?.[1] ?? 'unknown'
    );
  } catch {
    return 'not installed';
  }
}

function fsyncMs(): number {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-bench-fsync-'));
  const file = openSync(join(directory, 'wal'), 'w');
  const page = Buffer.alloc(4096, 1);
  try {
    return median(
      Array.from({ length: 101 }, () => {
        const startedAtMs = performance.now();
        writeSync(file, page);
        fdatasyncSync(file);
        return performance.now() - startedAtMs;
      }),
    );
  } finally {
    closeSync(file);
    rmSync(directory, { recursive: true });
  }
}
