import { networkInterfaces } from 'node:os';
import type { Clock } from '../../services/runtime/clock.js';
import type { Logger } from '../../services/runtime/log.js';
import type { MediaInterfaces } from './interfaces.js';
import { KernelForwarder } from './kernel/forwarder.js';
import { KernelOffload } from './kernel/kernel-offload.js';
import { NftProcess } from './kernel/nft.js';
import { systemRoutes } from './kernel/system-routes.js';
import type { MediaSource } from './offload.js';

export interface ForwardingOptions {
  /** `auto` is in the kernel where that is possible. */
  readonly forwarding: 'auto' | 'kernel' | 'userspace';
  /** Name of the relay's nftables table: no other relay of the host has it. */
  readonly table: string;
  readonly interfaces: MediaInterfaces;
  readonly portMin: number;
  readonly portMax: number;
}

export interface ForwardingDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** What a process before has handed over. */
  readonly sources: () => Iterable<MediaSource>;
}

/** What forwards in the kernel, started; undefined if user space is to forward. @throws Error if `kernel` is impossible */
export async function openForwarding(
  options: ForwardingOptions,
  deps: ForwardingDeps,
): Promise<KernelOffload | undefined> {
  const { forwarding, table } = options;
  const { log } = deps;
  if (forwarding === 'userspace') {
    return undefined;
  }
  try {
    const forwarder = await openKernel(options, deps);
    log.info({ forwarding: 'kernel', table }, 'media are forwarded in the kernel');
    return forwarder;
  } catch (error) {
    const reason = (error as Error).message;
    if (forwarding === 'kernel') {
      throw new Error(`media cannot be forwarded in the kernel: ${reason}`);
    }
    log.info({ forwarding: 'userspace', reason }, 'media are forwarded in user space');
    return undefined;
  }
}

async function openKernel(
  { table, interfaces, portMin, portMax }: ForwardingOptions,
  { clock, log, sources }: ForwardingDeps,
): Promise<KernelOffload> {
  const own = interfaces.all.filter(({ address }) => !isLoopback(address));
  if (own.length === 0) {
    throw new Error(`${interfaces.first.address} is an address of the loopback device`);
  }
  const resolveRoutes = systemRoutes();
  // Proves that it can be asked.
  await resolveRoutes([]);
  const families = interfaces.families.filter((version) => own.some(({ family }) => family === version));
  const forwarders = families.map((version, index) => {
    const addresses = own.filter(({ family }) => family === version).map(({ address }) => address);
    return new KernelForwarder(
      { table: tableOf(table, index), addresses: [...new Set(addresses)], portMin, portMax },
      { openNft: () => new NftProcess(clock), resolveRoutes, clock, log },
    );
  });
  const offload = new KernelOffload(forwarders);
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

/** A table has addresses of one version of IP. No name of a relay has a slash. */
function tableOf(table: string, index: number): string {
  return index === 0 ? table : `${table}/${index + 1}`;
}

function isLoopback(address: string): boolean {
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return all.some((each) => each.internal && each.address === address);
}
