import { type CpuInfo, cpus } from 'node:os';

type Times = CpuInfo['times'];

/** How busy the processors of this host are, between one look and the next. */
export class HostCpu {
  #before: { readonly busyMs: number; readonly totalMs: number } | undefined;
  #use = 0;

  /** @param read the times of each processor since boot, ms */
  constructor(private readonly read: () => readonly { readonly times: Times }[] = cpus) {}

  /** The share of time since the last call in which processors were not idle, 0–1; 0 the first time. */
  use(): number {
    const now = sum(this.read().map(({ times }) => times));
    const totalMs = now.totalMs - (this.#before?.totalMs ?? now.totalMs);
    const busyMs = now.busyMs - (this.#before?.busyMs ?? now.busyMs);
    this.#before = now;
    // A processor that was switched off or on changes the sums; two looks within one tick see no time pass.
    if (totalMs > 0 && busyMs >= 0) {
      this.#use = Math.min(1, busyMs / totalMs);
    }
    return this.#use;
  }
}

function sum(times: readonly Times[]): { readonly busyMs: number; readonly totalMs: number } {
  let busyMs = 0;
  let idleMs = 0;
  for (const { user, nice, sys, irq, idle } of times) {
    busyMs += user + nice + sys + irq;
    idleMs += idle;
  }
  return { busyMs, totalMs: busyMs + idleMs };
}
