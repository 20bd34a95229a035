import { networkInterfaces } from 'node:os';
import type { Clock } from '../../services/runtime/clock.js';
import type { Logger } from '../../services/runtime/log.js';
import type { Family, MediaInterfaces } from './interfaces.js';
import { KernelForwarder } from './kernel/forwarder.js';
import { KernelOffload } from './kernel/kernel-offload.js';
import { NftProcess } from './kernel/nft.js';
import { clearTables } from './kernel/ruleset.js';
import { systemRoutes } from './kernel/system-routes.js';
import type { MediaSource } from './offload.js';

export interface ForwardingOptions {
  /** `auto` is in the kernel where that is possible. */
  readonly forwarding: 'auto' | 'kernel' | 'userspace';
  /** Name of the relay's nftables tables: no other relay of the host has it. Undefined: it never had any. */
  readonly table: string | undefined;
  readonly interfaces: MediaInterfaces;
  readonly portMin: number;
  readonly portMax: number;
  /** Telephone events come to user space, whatever forwards. */
  readonly seesEvents?: boolean;
  /** What all media leave with, which takes nftables; undefined: what they came with. */
  readonly dscp?: number | undefined;
}

export interface ForwardingDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** What a process before has handed over. */
  readonly sources: () => IterableIterator<MediaSource>;
}

/** Who forwards. */
export interface Forwarding {
  /** What forwards in the kernel, started; undefined if user space is to forward. */
  readonly offload: KernelOffload | undefined;
  /** The same for people: `in the kernel`, or `in user space` and why. */
  readonly where: string;
}

const families: readonly Family[] = [4, 6];

/** What a process before has left in the kernel is taken over or removed. @throws Error if `kernel` is impossible */
export async function openForwarding(options: ForwardingOptions, deps: ForwardingDeps): Promise<Forwarding> {
  const opened =
    options.forwarding === 'userspace'
      ? { offload: undefined, where: 'in user space, as set' }
      : await tryKernel(options, deps);
  const unclaimed = families.filter((family) => !opened.offload?.families.includes(family));
  await removeTables(options, unclaimed, deps);
  return opened;
}

async function tryKernel(options: ForwardingOptions, deps: ForwardingDeps): Promise<Forwarding> {
  const { forwarding, table = 'holdfast', dscp } = options;
  const { log } = deps;
  try {
    const offload = await openKernel({ ...options, table }, deps);
    log.info({ forwarding: 'kernel', table }, 'media are forwarded in the kernel');
    return { offload, where: 'in the kernel' };
  } catch (error) {
    const reason = (error as Error).message;
    if (forwarding === 'kernel') {
      throw new Error(`media cannot be forwarded in the kernel: ${reason}`);
    }
    if (dscp !== undefined) {
      throw new Error(`the DSCP of media cannot be set without nftables: ${reason}`);
    }
    log.info({ forwarding: 'userspace', reason }, 'media are forwarded in user space');
    return { offload: undefined, where: `in user space: ${reason}` };
  }
}

async function openKernel(
  {
    table,
    interfaces,
    portMin,
    portMax,
    dscp,
    seesEvents = false,
  }: ForwardingOptions & { readonly table: string },
  { clock, log, sources }: ForwardingDeps,
): Promise<KernelOffload> {
  const own = interfaces.all.filter(({ address }) => !isLoopback(address));
  if (own.length === 0) {
    throw new Error(`${interfaces.first.address} is an address of the loopback device`);
  }
  const resolveRoutes = systemRoutes();
  // Proves that it can be asked.
  await resolveRoutes([]);
  const used = families.filter((version) => own.some(({ family }) => family === version));
  const forwarders = used.map((version) => {
    const addresses = own.filter(({ family }) => family === version).map(({ address }) => address);
    return new KernelForwarder(
      {
        table: tableOf(table, version),
        addresses: [...new Set(addresses)],
        portMin,
        portMax,
        dscp,
        seesEvents,
      },
      { openNft: () => new NftProcess(clock), resolveRoutes, clock, log },
    );
  });
  const offload = new KernelOffload(forwarders, used);
  try {
    for (const forwarder of forwarders) {
      await forwarder.start(sources());
    }
  } catch (error) {
    await offload.stop();
    throw error;
  }
  return offload;
}

/** What is left in a table takes packets from sockets that know nothing of it. */
async function removeTables(
  { table }: ForwardingOptions,
  versions: readonly Family[],
  { clock, log, sources }: ForwardingDeps,
): Promise<void> {
  if (table === undefined || versions.length === 0) {
    return;
  }
  const nft = new NftProcess(clock);
  try {
    for (const version of versions) {
      await nft.run(clearTables(tableOf(table, version), version === 4 ? 'ip' : 'ip6'));
    }
  } catch (error) {
    // Where nft cannot be used, there is no table, unless it could be used when the calls began.
    if (!sources().next().done) {
      const reason = (error as Error).message;
      log.warn({ table, reason }, 'what the previous process left in the kernel could not be removed');
    }
  } finally {
    await nft.stop();
  }
}

/** A table has addresses of one version of IP. No name of a relay has a slash. */
function tableOf(table: string, version: Family): string {
  return version === 4 ? table : `${table}/6`;
}

function isLoopback(address: string): boolean {
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return all.some((each) => each.internal && each.address === address);
}
