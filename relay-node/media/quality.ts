/** What a receiver says of one source: a report block (RFC 3550 section 6.4.1). */
export interface ReceptionReport {
  /** Of the packets that it hears. */
  readonly ssrc: number;
  /** Since its report before, 0–1. */
  readonly lossRatio: number;
  /** Since the beginning; negative if more came twice. */
  readonly lost: number;
  /** In ticks of the media's clock. */
  readonly jitter: number;
}

const senderReport = 200;
const receiverReport = 201;
const senderInfoBytes = 20;
const blockBytes = 24;

/** The blocks of a compound packet of RTCP; none of one that is encrypted or wrong in its lengths. */
export function reportsIn(packet: Buffer): ReceptionReport[] {
  const reports: ReceptionReport[] = [];
  for (let at = 0; at + 8 <= packet.length; ) {
    const first = packet[at] as number;
    const end = at + 4 * (packet.readUInt16BE(at + 2) + 1);
    if (first >> 6 !== 2 || end > packet.length) {
      return [];
    }
    const type = packet[at + 1];
    const start = at + 8 + (type === senderReport ? senderInfoBytes : 0);
    const count = type === senderReport || type === receiverReport ? first & 0x1f : 0;
    for (
      let block = start;
      block < start + count * blockBytes && block + blockBytes <= end;
      block += blockBytes
    ) {
      reports.push({
        ssrc: packet.readUInt32BE(block),
        lossRatio: packet.readUInt8(block + 4) / 256,
        lost: packet.readIntBE(block + 5, 3),
        jitter: packet.readUInt32BE(block + 12),
      });
    }
    at = end;
  }
  return reports;
}

/** How a party hears the other one, by its reports. */
export interface Quality {
  readonly ssrc: number;
  readonly lossRatio: number;
  readonly lost: number;
  readonly jitterMs: number;
  /** 1–4.5 */
  readonly mos: number;
}

/** By the estimate of MOS: from 4.0, 3.6 and 3.1 on, and below. */
export type QualityBand = 'good' | 'fair' | 'poor' | 'bad';

export function bandOf({ mos }: Quality): QualityBand {
  if (mos >= 3.6) {
    return mos >= 4 ? 'good' : 'fair';
  }
  return mos >= 3.1 ? 'poor' : 'bad';
}

export function qualityOf({ ssrc, lossRatio, lost, jitter }: ReceptionReport, clockRate: number): Quality {
  const jitterMs = (jitter * 1000) / clockRate;
  return { ssrc, lossRatio, lost, jitterMs, mos: mosOf(lossRatio, jitterMs) };
}

/**
 * An estimate after the E-model (ITU-T G.107), with a delay that a jitter buffer adds, and without that of the network, which
 * is not known: R is 93.2 less the impairment by delay and 2.5 for each percent of loss.
 */
function mosOf(lossRatio: number, jitterMs: number): number {
  const delayMs = 2 * jitterMs + 10;
  const impairment = delayMs < 160 ? delayMs / 40 : (delayMs - 120) / 10;
  const r = Math.max(0, 93.2 - impairment - 250 * lossRatio);
  return 1 + 0.035 * r + 0.000_007 * r * (r - 60) * (100 - r);
}

/** Quality over the reports of one source. */
export class QualityHistory {
  lowest: Quality;
  highest: Quality;
  latest: Quality;
  samples = 0;
  #sums = { lossRatio: 0, jitterMs: 0, mos: 0 };

  constructor(first: Quality) {
    this.lowest = first;
    this.highest = first;
    this.latest = first;
    this.add(first);
  }

  add(quality: Quality): void {
    this.samples++;
    this.latest = quality;
    this.lowest = quality.mos < this.lowest.mos ? quality : this.lowest;
    this.highest = quality.mos > this.highest.mos ? quality : this.highest;
    const { lossRatio, jitterMs, mos } = this.#sums;
    this.#sums = {
      lossRatio: lossRatio + quality.lossRatio,
      jitterMs: jitterMs + quality.jitterMs,
      mos: mos + quality.mos,
    };
  }

  get average(): Quality {
    const { lossRatio, jitterMs, mos } = this.#sums;
    return {
      ...this.latest,
      lossRatio: lossRatio / this.samples,
      jitterMs: jitterMs / this.samples,
      mos: mos / this.samples,
    };
  }
}
