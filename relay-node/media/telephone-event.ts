/** A payload type of telephone events, as a party signals it (RFC 4733 section 2.4). */
export interface EventFormat {
  /** 96–127: a dynamic one (RFC 3551 section 3). */
  readonly type: number;
  /** Hz */
  readonly clockRate: number;
}

/** A key that a party pressed, or another event (RFC 4733 section 3.2). */
export interface TelephoneEvent {
  /** 0–9 are digits, 10 is *, 11 is #, 12–15 are A–D, 16 is flash. */
  readonly code: number;
  readonly durationMs: number;
  /** In dBm0, without its sign: 0–63. */
  readonly volume: number;
}

/** RFC 3550 section 5.1, and RFC 4733 section 2.3. */
const headerBytes = 12;
const eventBytes = 4;

export function payloadTypeOf(packet: Buffer): number {
  return (packet[1] as number) & 0x7f;
}

/**
 * Finds events among the packets of one source. Each is told once: by the first packet that ends it, of which usually three come.
 * One whose end is lost is not told, as in rtpengine.
 */
export class EventReader {
  #told: { readonly source: number; readonly timestamp: number } | undefined;

  /** @param packet of RTP, with a payload type of one of the formats @returns the event that it is the first to end */
  read(packet: Buffer, formats: readonly EventFormat[]): TelephoneEvent | undefined {
    const format = formats.find(({ type }) => type === payloadTypeOf(packet));
    const start = headerBytes + 4 * ((packet[0] as number) & 0x0f);
    if (!format || packet.length < start + eventBytes) {
      return undefined;
    }
    const [flags, timestamp, source] = [
      packet.readUInt8(start + 1),
      packet.readUInt32BE(4),
      packet.readUInt32BE(8),
    ];
    const isTold = this.#told?.timestamp === timestamp && this.#told.source === source;
    if ((flags & 0x80) === 0 || isTold) {
      return undefined;
    }
    this.#told = { source, timestamp };
    const durationMs = Math.floor((packet.readUInt16BE(start + 2) * 1000) / format.clockRate);
    return { code: packet.readUInt8(start), durationMs, volume: flags & 0x3f };
  }
}
