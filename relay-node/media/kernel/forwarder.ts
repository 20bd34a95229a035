import { Backoff } from '../../../services/runtime/backoff.js';
import { type Clock, inTime } from '../../../services/runtime/clock.js';
import type { Logger } from '../../../services/runtime/log.js';
import type { MediaPath, MediaSource, Offload } from '../offload.js';
import { isRtp } from '../packet.js';
import { isSameRoute } from './hops.js';
import type { Nft } from './nft.js';
import { type Route, type RouteResolver, Routes, wayTo } from './routes.js';
import { Ruleset, type RulesetOptions, type StreamCount } from './ruleset.js';
import type { HandedOver } from './streams.js';
import { KernelTable, type Routed } from './table.js';

export interface KernelForwarderDeps {
  /** Starts an nft. */
  readonly openNft: () => Nft;
  readonly resolveRoutes: RouteResolver;
  readonly clock: Clock;
  readonly log: Logger;
  /** Uniform in [0, 1), as by default. */
  readonly random?: () => number;
}

/** Packets that were in a socket when their stream was handed over have been read by then. */
const handoverMs = 1000;
/** A report waits no longer for its counts: a SIP proxy waits for the report. */
const countTimeoutMs = 300;
const countIntervalMs = 2000;
/** Counting takes at most one part in so many of the time. */
const countIdleFactor = 20;
/** If nothing could be counted for so long, calls that are silent as far as is known end. */
const maxUncountedMs = 60_000;
/** A table that is lost sooner than this after it was built is built again after a growing pause. */
const stableMs = 60_000;
const rebuildPause = { firstMs: 1000, mostMs: 60_000 };

/**
 * Forwards in the kernel what user space has learned the way of. Every stream begins in user space, and all come back to it when
 * the kernel does not do as expected. Then the table is built anew, and each stream is handed over with its next packet.
 */
export class KernelForwarder implements Offload {
  readonly #deps: KernelForwarderDeps;
  readonly #ruleset: Ruleset;
  readonly #routes: Routes;
  /** The last one, also after it was lost. */
  #table: KernelTable | undefined;
  #rebuilds = 0;
  #stopped: Promise<void> | undefined;
  #builtAtMs = 0;
  readonly #backoff: Backoff;
  #countedAtMs = 0;
  #rebuilding: Promise<void> = Promise.resolve();
  #cancelRebuild: () => void = () => undefined;
  #cancelReview: () => void = () => undefined;

  constructor(options: RulesetOptions, deps: KernelForwarderDeps) {
    this.#deps = deps;
    this.#ruleset = new Ruleset(options);
    this.#routes = new Routes(deps.resolveRoutes);
    this.#backoff = new Backoff(rebuildPause, deps.clock, deps.random);
  }

  /**
   * @param sources those that a process before has handed over, as far as is known
   * @throws Error saying why the kernel cannot forward here
   */
  async start(sources: Iterable<MediaSource> = []): Promise<void> {
    await this.#build(await this.#routed(sources));
    this.#countedAtMs = this.#deps.clock.monotonicMs();
    this.#scheduleReview(countIntervalMs);
  }

  /** Leaves nothing in the kernel. */
  stop(): Promise<void> {
    this.#stopped ??= this.#end(async (table) => table?.remove());
    return this.#stopped;
  }

  /** Leaves everything in the kernel. */
  leave(): Promise<void> {
    this.#stopped ??= this.#end(async (table) => table?.leave());
    return this.#stopped;
  }

  get countedUntilMs(): number {
    const nowMs = this.#deps.clock.monotonicMs();
    return this.streams === 0 || nowMs - this.#countedAtMs > maxUncountedMs ? nowMs : this.#countedAtMs;
  }

  get streams(): number {
    return this.#table?.streams.size ?? 0;
  }

  get rebuilds(): number {
    return this.#rebuilds;
  }

  carries(source: MediaSource): boolean {
    return this.#table?.streams.get(source) !== undefined;
  }

  forwarded(source: MediaSource, packet: Buffer): void {
    const table = this.#table;
    if (!table || table.isLost) {
      return;
    }
    const stream = table.streams.get(source);
    if (stream) {
      if (this.#shouldBeInKernel(stream, packet)) {
        void table.examine(stream);
      }
    } else if (!table.isUnfit(source)) {
      this.#handOver(table, source);
    }
  }

  takeBack(source: MediaSource): void {
    this.#table?.takeBack(source);
  }

  takenBack(): Promise<void> | undefined {
    return this.#table?.takenBack();
  }

  counted(source: MediaSource): StreamCount {
    return this.#table?.streams.get(source)?.counted ?? { packets: 0, bytes: 0 };
  }

  async count(sources: Iterable<MediaSource>): Promise<void> {
    const table = this.#table;
    if (table && [...sources].some((source) => table.streams.get(source))) {
      await inTime(this.#deps.clock, countTimeoutMs, table.count(), undefined);
    }
  }

  async #routed(sources: Iterable<MediaSource>): Promise<Routed[]> {
    const known = [...sources].flatMap((source) => {
      const { path } = source;
      return path && this.#ruleset.carries(path) ? [{ source, path }] : [];
    });
    await this.#routes.refresh(known.flatMap(({ path }) => waysOf(path)));
    return known.flatMap(({ source, path }) => {
      const [inbound, outbound] = this.#find(path);
      const isRouted = inbound && outbound && inbound !== 'none' && outbound !== 'none';
      return isRouted ? [{ source, path, routes: [inbound, outbound] as const }] : [];
    });
  }

  #find(path: MediaPath): readonly [Route | 'none' | undefined, Route | 'none' | undefined] {
    const [back, forth] = waysOf(path);
    return [this.#routes.find(back), this.#routes.find(forth)];
  }

  #handOver(table: KernelTable, source: MediaSource): void {
    const { path } = source;
    if (!path || !this.#ruleset.carries(path)) {
      return;
    }
    const [inbound, outbound] = this.#find(path);
    // Otherwise its next packet asks again.
    if (inbound && outbound && inbound !== 'none' && outbound !== 'none') {
      table.add(source, path, [inbound, outbound]);
    }
  }

  /** What the ruleset leaves to user space is no sign of its loss. */
  #shouldBeInKernel({ installedAtMs }: HandedOver, packet: Buffer): boolean {
    return isRtp(packet) && this.#deps.clock.monotonicMs() - installedAtMs > handoverMs;
  }

  #scheduleReview(delayMs: number): void {
    if (this.#stopped === undefined) {
      this.#cancelReview = this.#deps.clock.after(delayMs, () => void this.#review());
    }
  }

  /** Counts everything, and takes back what would no longer go the right way. */
  async #review(): Promise<void> {
    const { clock } = this.#deps;
    const startedAtMs = clock.monotonicMs();
    const table = this.#table;
    if (table && !table.isLost) {
      if (await table.count()) {
        this.#countedAtMs = startedAtMs;
      }
      await this.#followRoutes(table);
    }
    const tookMs = clock.monotonicMs() - startedAtMs;
    this.#scheduleReview(Math.max(countIntervalMs, tookMs * countIdleFactor));
  }

  async #followRoutes(table: KernelTable): Promise<void> {
    const streams = [...table.streams.values()];
    await this.#routes.refresh(streams.flatMap(({ path }) => waysOf(path)));
    for (const { source, path, inbound, outbound } of streams) {
      const [toSender, toReceiver] = this.#find(path);
      if (!isSameRoute(inbound, toSender) || !isSameRoute(outbound, toReceiver)) {
        table.takeBack(source);
      }
    }
  }

  /** User space forwards until there is another table. */
  #lost(nft: Nft, reason: string): void {
    void nft.stop();
    if (this.#stopped !== undefined) {
      return;
    }
    const isStable = this.#deps.clock.monotonicMs() - this.#builtAtMs >= stableMs;
    if (isStable) {
      this.#backoff.reset();
    }
    this.#scheduleRebuild(
      isStable ? 0 : this.#backoff.next(),
      reason,
      'media streams in the kernel are lost',
    );
  }

  #scheduleRebuild(waitMs: number, reason: string, message: string): void {
    this.#deps.log.warn({ reason, waitMs: Math.round(waitMs) }, message);
    this.#cancelRebuild = this.#deps.clock.after(waitMs, () => {
      this.#rebuilding = this.#rebuild();
    });
  }

  async #rebuild(): Promise<void> {
    try {
      await this.#build();
      this.#rebuilds++;
    } catch (error) {
      if (this.#stopped === undefined) {
        const { message } = error as Error;
        this.#scheduleRebuild(this.#backoff.next(), message, 'the kernel does not forward media');
      }
    }
  }

  /** @throws Error */
  async #build(adopted: readonly Routed[] = []): Promise<void> {
    const { openNft, clock, log } = this.#deps;
    const nft = openNft();
    const table = new KernelTable({ nft, ruleset: this.#ruleset, clock, log });
    try {
      // If only nft was gone, the kernel has gone on forwarding.
      await this.#table?.countLast(nft);
      await table.create(adopted);
    } catch (error) {
      await nft.stop();
      if (adopted.length === 0) {
        throw error;
      }
      const reason = (error as Error).message;
      log.warn(
        { reason },
        'media streams of the previous process could not be adopted: they begin in user space',
      );
      return this.#build();
    }
    this.#builtAtMs = clock.monotonicMs();
    this.#table = table;
    void table.lost.then((reason) => this.#lost(nft, reason));
  }

  async #end(end: (table: KernelTable | undefined) => Promise<void>): Promise<void> {
    this.#cancelRebuild();
    this.#cancelReview();
    await this.#rebuilding;
    await end(this.#table).catch((error: Error) => {
      this.#deps.log.warn({ reason: error.message }, 'the nftables table could not be removed');
    });
  }
}

/** Packets of the sender come in by the device that answers to it leave by. */
function waysOf({ from, at, leaving, to }: MediaPath): readonly [string, string] {
  return [wayTo(from.address, at.address), wayTo(to.address, leaving.address)];
}
