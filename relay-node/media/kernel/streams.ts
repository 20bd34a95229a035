import type { MediaPath, MediaSource } from '../offload.js';
import type { Route } from './routes.js';
import { type KernelStream, keyOf, markOf, maxStreams, type StreamCount } from './ruleset.js';

/** A party's packets, handed over. */
export interface HandedOver extends KernelStream {
  readonly source: MediaSource;
  readonly inbound: Route;
  readonly outbound: Route;
  /** By the monotonic clock; infinite until the kernel has it. */
  installedAtMs: number;
  /** What the kernel had forwarded when it was last asked. */
  counted: StreamCount;
}

/** More than the port range has pairs. */
const maxHandedOver = 65_536;

/** The streams that are handed over, or about to be. A mark is in use until nothing in the kernel has it. */
export class Streams {
  readonly #bySource = new Map<MediaSource, HandedOver>();
  readonly #byMark = new Map<number, HandedOver>();
  readonly #keys = new Set<string>();
  #last = 0;

  /** Of sources. */
  get size(): number {
    return this.#bySource.size;
  }

  get(source: MediaSource): HandedOver | undefined {
    return this.#bySource.get(source);
  }

  values(): Iterable<HandedOver> {
    return this.#bySource.values();
  }

  /** Undefined if there are as many as there may be, or another party has the same addresses. */
  add(
    source: MediaSource,
    path: MediaPath,
    routes: readonly [Route, Route],
    hop: number,
  ): HandedOver | undefined {
    const [inbound, outbound] = routes;
    const stream: HandedOver = {
      source,
      path,
      inbound,
      outbound,
      device: inbound.device,
      mark: this.#freeMark(hop),
      installedAtMs: Number.POSITIVE_INFINITY,
      counted: { packets: 0, bytes: 0 },
    };
    const key = keyOf(stream);
    if (this.#byMark.size >= maxHandedOver || this.#keys.has(key)) {
      return undefined;
    }
    this.#bySource.set(source, stream);
    this.#byMark.set(stream.mark % (maxStreams + 1), stream);
    this.#keys.add(key);
    return stream;
  }

  /** The source's packets come to user space again. */
  takeBack(stream: HandedOver): void {
    // The source may have been handed over again since.
    if (this.#bySource.get(stream.source) === stream) {
      this.#bySource.delete(stream.source);
      this.#keys.delete(keyOf(stream));
    }
  }

  /** Nothing of it is in the kernel any more. */
  retire(stream: HandedOver): void {
    this.#byMark.delete(stream.mark % (maxStreams + 1));
  }

  /** Takes in what the kernel was asked at that time: a stream that it had not then is another one with an earlier mark. */
  count(counts: ReadonlyMap<number, StreamCount>, askedAtMs: number): void {
    for (const [mark, now] of counts) {
      const stream = this.#byMark.get(mark % (maxStreams + 1));
      if (!stream || stream.mark !== mark || stream.installedAtMs > askedAtMs) {
        continue;
      }
      const { packets, bytes } = stream.counted;
      // An answer that was on its way for longer than a later one.
      if (now.packets > packets) {
        stream.counted = now;
        stream.source.countOffloaded(now.packets - packets, now.bytes - bytes);
      }
    }
  }

  #freeMark(hop: number): number {
    do {
      this.#last = (this.#last % maxStreams) + 1;
    } while (this.#byMark.has(this.#last));
    return markOf(this.#last, hop);
  }
}
