import crypto from 'node:crypto';
import dgram from 'node:dgram';
import dns from 'node:dns/promises';
import { syncBuiltinESMExports } from 'node:module';
import { isIP } from 'node:net';
import os from 'node:os';
import type { Random } from '../../chaos/plan/random.js';
import type { SimProcess } from './process.js';

/** What simulated code gets in place of what Node has. */
export interface Ambience {
  /** Undefined while code outside of the simulation runs, which gets Node's own. */
  current(): SimProcess | undefined;
  readonly random: Random;
  createSocket(process: SimProcess): unknown;
}

/** Handle of a virtual timer, as far as libraries use it. */
class VirtualTimer {
  constructor(readonly cancel: () => void) {}

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  hasRef(): boolean {
    return false;
  }

  refresh(): this {
    throw new Error('refresh() of a timer is not simulated');
  }
}

type Task = (...args: unknown[]) => void;

const real = {
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setInterval: globalThis.setInterval,
  clearInterval: globalThis.clearInterval,
  setImmediate: globalThis.setImmediate,
  clearImmediate: globalThis.clearImmediate,
  now: Date.now,
  performanceNow: performance.now.bind(performance),
  mathRandom: Math.random,
  randomBytes: crypto.randomBytes,
  randomUUID: crypto.randomUUID,
  createSocket: dgram.createSocket,
  lookup: dns.lookup,
  cpus: os.cpus,
};

let ambience: Ambience | undefined;
const here = () => ambience?.current();

/**
 * Replaces Node's sources of time, chance and datagrams in all code of this process, libraries included, for as long as
 * simulated code runs. What has a seam (a `Clock`, a channel) is reached through that; this is for the rest, and so that
 * nothing real gets in unseen.
 */
export function enterAmbience(next: Ambience): () => void {
  if (ambience) {
    throw new Error('another simulation runs in this process');
  }
  ambience = next;
  if (globalThis.setTimeout === real.setTimeout) {
    install();
  }
  return () => {
    ambience = undefined;
  };
}

function install(): void {
  const stop = (timer: unknown, stopReal: (timer: never) => void) =>
    timer instanceof VirtualTimer ? timer.cancel() : stopReal(timer as never);
  Object.assign(globalThis, {
    setTimeout: Object.assign((task: Task, delayMs = 0, ...args: unknown[]) => {
      const process = here();
      return process
        ? new VirtualTimer(process.after(Math.max(1, delayMs), () => task(...args)))
        : real.setTimeout(task, delayMs, ...args);
    }, real.setTimeout),
    clearTimeout: (timer: unknown) => stop(timer, real.clearTimeout),
    setInterval: (task: Task, delayMs = 0, ...args: unknown[]) => {
      if (here()) {
        throw new Error('setInterval is not simulated');
      }
      return real.setInterval(task, delayMs, ...args);
    },
    clearInterval: (timer: unknown) => stop(timer, real.clearInterval),
    setImmediate: Object.assign((task: Task, ...args: unknown[]) => {
      const process = here();
      return process
        ? new VirtualTimer(process.after(0, () => task(...args)))
        : real.setImmediate(task, ...args);
    }, real.setImmediate),
    clearImmediate: (timer: unknown) => stop(timer, real.clearImmediate),
  });
  Date.now = () => here()?.clock.wallMs() ?? real.now();
  performance.now = () => here()?.clock.monotonicMs() ?? real.performanceNow();
  Math.random = () => (here() ? (ambience as Ambience).random.next() : real.mathRandom());
  Object.assign(crypto, {
    randomBytes: (size: number) => {
      if (!here()) {
        return real.randomBytes(size);
      }
      const { random } = ambience as Ambience;
      return Buffer.from(Array.from({ length: size }, () => random.below(256)));
    },
    randomUUID: () => {
      if (!here()) {
        return real.randomUUID();
      }
      throw new Error('randomUUID is not simulated');
    },
  });
  Object.assign(dgram, {
    createSocket: (...args: Parameters<typeof dgram.createSocket>) => {
      const process = here();
      return process ? (ambience as Ambience).createSocket(process) : real.createSocket(...args);
    },
  });
  Object.assign(dns, {
    lookup: (host: string, ...rest: unknown[]) =>
      here()
        ? Promise.resolve({ address: host, family: isIP(host) })
        : (real.lookup as (...args: unknown[]) => unknown)(host, ...rest),
  });
  Object.assign(os, { cpus: () => (here() ? [] : real.cpus()) });
  syncBuiltinESMExports();
}
