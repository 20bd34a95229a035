import { type Clock, inTime, sleep } from '../../../services/runtime/clock.js';
import type { Logger } from '../../../services/runtime/log.js';
import type { MediaPath, MediaSource } from '../offload.js';
import { Hops } from './hops.js';
import { type Nft, RefusedLineError } from './nft.js';
import type { Route } from './routes.js';
import { keyOf, type Ruleset, type StreamCount } from './ruleset.js';
import { type HandedOver, Streams } from './streams.js';

/** What can be handed over. */
export interface Routed {
  readonly source: MediaSource;
  readonly path: MediaPath;
  readonly routes: readonly [Route, Route];
}

export interface KernelTableDeps {
  readonly nft: Nft;
  readonly ruleset: Ruleset;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Streams of one line to nft. */
const maxBatch = 200;
/** A process that ends waits no longer for nft. */
const maxTakeBackMs = 1000;
/** A stream that does not go this way is tried again: what was in the way may be gone. */
const unfitMs = 10_000;

/**
 * The relay's table in the kernel, from its creation until it is lost: until nft ends, or refuses what it would do if the table
 * were as this nft left it.
 */
export class KernelTable {
  readonly streams = new Streams();
  /** Resolves with the reason. */
  readonly lost: Promise<string>;
  readonly #deps: KernelTableDeps;
  readonly #hops: Hops;
  /**
   * Packets of these cannot go this way, or come another way than expected: in fragments, or by another device. Until when they
   * stay in user space, by the monotonic clock.
   */
  readonly #unfit = new WeakMap<MediaSource, number>();
  /** To be installed, and to be removed. */
  readonly #additions = new Set<HandedOver>();
  readonly #removals = new Set<HandedOver>();
  /** No packet finds them any more, since when, but what they have forwarded is still to be counted. */
  readonly #leaving = new Map<HandedOver, number>();
  /** Counted for the last time. */
  readonly #counted = new Set<HandedOver>();
  /** The counting that is under way, and what it finds; undefined if that fails. */
  #counting: Promise<ReadonlyMap<number, StreamCount> | undefined> | undefined;
  /** How long the last one took, and when it ended. */
  #countTookMs = 0;
  #countEndedMs = Number.NEGATIVE_INFINITY;
  /** Removed, or about to be, and carried out in that order. */
  #removalsAsked = 0;
  #removalsDone = 0;
  #awaitingRemoval: { readonly until: number; readonly resolve: () => void }[] = [];
  #reportLoss: (reason: string) => void = () => undefined;
  #isLost = false;
  #pumping = false;
  #examining = false;

  constructor(deps: KernelTableDeps) {
    this.#deps = deps;
    this.#hops = new Hops(deps.ruleset, deps.clock);
    this.lost = new Promise((resolve) => {
      this.#reportLoss = resolve;
    });
    void deps.nft.ended.then((reason) => this.#lose(new Error(reason)));
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  /**
   * Puts it in the place of whatever has its name, at once with these streams: one that the table before had loses no packet, and
   * what that one has forwarded is counted. @throws Error
   */
  async create(adopted: readonly Routed[] = []): Promise<void> {
    const { nft, ruleset, clock } = this.#deps;
    const lines = [ruleset.create()];
    const streams: HandedOver[] = [];
    for (const { source, path, routes } of adopted) {
      const hop = this.#hops.numberOf(...routes);
      const stream = hop === undefined ? undefined : this.streams.add(source, path, routes, hop);
      if (stream) {
        for (const requirement of this.#hops.missing(...routes)) {
          lines.push(requirement.line);
          this.#hops.installed(requirement);
        }
        streams.push(stream);
      }
    }
    if (streams.length > 0) {
      lines.push(ruleset.addStreams(streams));
      const left = await Promise.all(
        [ruleset.listKeys(), ruleset.countAll()].map((line) => nft.run(line).catch(() => '')),
      );
      const before = ruleset.countsByKey(left.join(''));
      for (const stream of streams) {
        const { packets, bytes } = before.get(keyOf(stream)) ?? { packets: 0, bytes: 0 };
        stream.source.countOffloaded(packets, bytes);
      }
    }
    await nft.run(lines.join('; '));
    for (const stream of streams) {
      stream.installedAtMs = clock.monotonicMs();
    }
  }

  isUnfit(source: MediaSource): boolean {
    const untilMs = this.#unfit.get(source);
    return untilMs !== undefined && this.#deps.clock.monotonicMs() < untilMs;
  }

  /** Hands a stream over, or lets it stay in user space for a while, or until its way changes. */
  add(source: MediaSource, path: MediaPath, routes: readonly [Route, Route]): void {
    const hop = this.#hops.numberOf(...routes);
    const stream = hop === undefined ? undefined : this.streams.add(source, path, routes, hop);
    if (stream) {
      this.#additions.add(stream);
      void this.#pump();
    } else {
      this.#leaveOut(source);
    }
  }

  /** Its packets come to user space again. */
  takeBack(source: MediaSource): void {
    this.#unfit.delete(source);
    const stream = this.streams.get(source);
    if (!stream) {
      return;
    }
    this.streams.takeBack(stream);
    if (this.#additions.delete(stream)) {
      this.streams.retire(stream);
    } else {
      this.#removals.add(stream);
      this.#removalsAsked++;
      void this.#pump();
    }
  }

  /** As `Offload`. What a lost table still has is not known: nobody waits for it. */
  takenBack(): Promise<void> | undefined {
    const until = this.#removalsAsked;
    if (this.#isLost || this.#removalsDone === until) {
      return undefined;
    }
    return new Promise((resolve) => this.#awaitingRemoval.push({ until, resolve }));
  }

  /** Packets of the stream came to user space: it stays there, unless it is gone from the kernel with the table. */
  async examine(stream: HandedOver): Promise<void> {
    if (this.#examining) {
      return;
    }
    this.#examining = true;
    const counts = await this.#countAll();
    this.#examining = false;
    if (!counts || this.streams.get(stream.source) !== stream) {
      return;
    }
    if (counts.has(stream.mark)) {
      this.takeBack(stream.source);
      this.#leaveOut(stream.source);
    } else {
      this.#lose(new Error('a stream is gone from the table'));
    }
  }

  #leaveOut(source: MediaSource): void {
    this.#unfit.set(source, this.#deps.clock.monotonicMs() + unfitMs);
  }

  /** Takes in what the kernel has forwarded up to now, in at most half of the time; never rejects. @returns whether it could be counted */
  async count(): Promise<boolean> {
    return (await this.#countAll()) !== undefined;
  }

  async #countAll(): Promise<ReadonlyMap<number, StreamCount> | undefined> {
    const { clock } = this.#deps;
    // What began before says nothing of now.
    await this.#counting;
    this.#counting ??= (async () => {
      const waitMs = this.#countEndedMs + this.#countTookMs - clock.monotonicMs();
      if (waitMs > 0) {
        await sleep(clock, waitMs);
      }
      const askedAtMs = clock.monotonicMs();
      const counts = await this.#read(askedAtMs);
      this.#countEndedMs = clock.monotonicMs();
      this.#countTookMs = this.#countEndedMs - askedAtMs;
      this.#counting = undefined;
      return counts;
    })();
    return this.#counting;
  }

  async #read(askedAtMs: number): Promise<ReadonlyMap<number, StreamCount> | undefined> {
    const { nft, ruleset } = this.#deps;
    if (this.#isLost || this.streams.size + this.#leaving.size === 0) {
      return this.#isLost ? undefined : new Map();
    }
    try {
      const counts = ruleset.countsIn(await nft.runApart(ruleset.countAll()));
      this.streams.count(counts, askedAtMs);
      this.#finish(askedAtMs);
      return counts;
    } catch (error) {
      if (error instanceof RefusedLineError) {
        this.#lose(error);
      }
      return undefined;
    }
  }

  /** Those that had left by then are counted. */
  #finish(countedAtMs: number): void {
    for (const [stream, leftAtMs] of this.#leaving) {
      if (leftAtMs <= countedAtMs) {
        this.#leaving.delete(stream);
        this.#counted.add(stream);
      }
    }
    void this.#pump();
  }

  /** The same for a table that is lost, by another nft; never rejects. */
  async countLast(nft: Nft): Promise<void> {
    const { ruleset, clock } = this.#deps;
    const askedAtMs = clock.monotonicMs();
    const output = await nft.run(ruleset.countAll()).catch(() => '');
    this.streams.count(ruleset.countsIn(output), askedAtMs);
  }

  /** Ends, and leaves it in the kernel as soon as that has let go of what was taken back. */
  async leave(): Promise<void> {
    const takenBack = this.takenBack() ?? Promise.resolve();
    await inTime(this.#deps.clock, maxTakeBackMs, takenBack, undefined);
    this.#isLost = true;
    await this.#deps.nft.stop();
  }

  /** Removes it from the kernel, also if this nft has ended: whoever stops this process may have stopped that one. @throws Error */
  async remove(): Promise<void> {
    this.#isLost = true;
    const { nft, ruleset } = this.#deps;
    await nft.stop();
    await nft.runApart(ruleset.remove());
  }

  /** One batch after the other: what comes meanwhile is the next. */
  async #pump(): Promise<void> {
    if (this.#pumping || this.#isLost) {
      return;
    }
    this.#pumping = true;
    try {
      while (!this.#isLost && this.#additions.size + this.#removals.size + this.#counted.size > 0) {
        await this.#removeBatch(take(this.#removals, maxBatch));
        await this.#forgetBatch(take(this.#counted, maxBatch));
        await this.#addBatch(take(this.#additions, maxBatch));
      }
    } catch (error) {
      this.#lose(error);
    } finally {
      this.#pumping = false;
    }
  }

  async #removeBatch(batch: readonly HandedOver[]): Promise<void> {
    if (batch.length === 0) {
      return;
    }
    const { nft, ruleset, clock } = this.#deps;
    await nft.run(ruleset.hideStreams(batch));
    this.#removed(batch.length);
    for (const stream of batch) {
      this.#leaving.set(stream, clock.monotonicMs());
    }
  }

  async #forgetBatch(batch: readonly HandedOver[]): Promise<void> {
    if (batch.length === 0) {
      return;
    }
    const { nft, ruleset } = this.#deps;
    await nft.run(ruleset.removeStreams(batch));
    for (const stream of batch) {
      this.streams.retire(stream);
    }
  }

  async #addBatch(asked: readonly HandedOver[]): Promise<void> {
    const batch: HandedOver[] = [];
    for (const stream of asked) {
      if (await this.#hasWay(stream)) {
        batch.push(stream);
      } else {
        if (this.#removals.delete(stream)) {
          this.#removed(1);
        }
        this.streams.takeBack(stream);
        this.streams.retire(stream);
        this.#leaveOut(stream.source);
      }
    }
    if (batch.length > 0) {
      await this.#deps.nft.run(this.#deps.ruleset.addStreams(batch));
    }
    const nowMs = this.#deps.clock.monotonicMs();
    for (const stream of batch) {
      stream.installedAtMs = nowMs;
      stream.source.handedOver();
    }
  }

  /** Installs the device and the hop that the stream needs; false if the kernel refuses one of them. */
  async #hasWay({ inbound, outbound }: HandedOver): Promise<boolean> {
    const { nft, ruleset, log } = this.#deps;
    for (const requirement of this.#hops.missing(inbound, outbound)) {
      try {
        await nft.run(requirement.line);
        this.#hops.installed(requirement);
      } catch (error) {
        // If the table is gone, this fails as well.
        await nft.run(ruleset.probe());
        this.#hops.unusable(requirement);
        const { name } = requirement;
        log.warn(
          { name, reason: (error as Error).message },
          'media that would go this way stay in user space',
        );
      }
    }
    return this.#hops.numberOf(inbound, outbound) !== undefined;
  }

  #removed(streams: number): void {
    this.#removalsDone += streams;
    const waiting = this.#awaitingRemoval;
    this.#awaitingRemoval = waiting.filter(({ until }) => until > this.#removalsDone);
    for (const { until, resolve } of waiting) {
      if (until <= this.#removalsDone) {
        resolve();
      }
    }
  }

  #lose(cause: unknown): void {
    if (!this.#isLost) {
      this.#isLost = true;
      this.#removed(this.#removalsAsked - this.#removalsDone);
      this.#additions.clear();
      this.#removals.clear();
      this.#leaving.clear();
      this.#counted.clear();
      this.#reportLoss((cause as Error).message);
    }
  }
}

function take<T>(from: Set<T>, limit: number): T[] {
  const taken: T[] = [];
  for (const each of from) {
    if (taken.length >= limit) {
      break;
    }
    from.delete(each);
    taken.push(each);
  }
  return taken;
}
