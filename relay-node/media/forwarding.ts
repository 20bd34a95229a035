import { networkInterfaces } from 'node:os';
import type { Clock } from '../../services/runtime/clock.js';
import type { Logger } from '../../services/runtime/log.js';
import { KernelForwarder } from './kernel/forwarder.js';
import { NftProcess } from './kernel/nft.js';
import { systemRoutes } from './kernel/system-routes.js';
import type { MediaSource } from './offload.js';

export interface ForwardingOptions {
  /** `auto` is in the kernel where that is possible. */
  readonly forwarding: 'auto' | 'kernel' | 'userspace';
  /** Name of the relay's nftables table: no other relay of the host has it. */
  readonly table: string;
  readonly mediaAddress: string;
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
): Promise<KernelForwarder | undefined> {
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
  options: ForwardingOptions,
  { clock, log, sources }: ForwardingDeps,
): Promise<KernelForwarder> {
  const { table, mediaAddress: address, portMin, portMax } = options;
  if (isLoopback(address)) {
    throw new Error(`${address} is an address of the loopback device`);
  }
  const resolveRoutes = systemRoutes(address);
  // Proves that it can be asked.
  await resolveRoutes([]);
  const forwarder = new KernelForwarder(
    { table, address, portMin, portMax },
    { openNft: () => new NftProcess(clock), resolveRoutes, clock, log },
  );
  await forwarder.start(sources());
  return forwarder;
}

function isLoopback(address: string): boolean {
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return all.some((each) => each.internal && each.address === address);
}
