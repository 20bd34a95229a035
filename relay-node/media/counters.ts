import type { QualityBand } from './quality.js';

/** Counters of a relay, shared by all its media ports. */
export interface Traffic {
  relayedPackets: number;
  relayedBytes: number;
  /** Neither RTP nor RTCP: too short, another version, STUN. */
  malformedPackets: number;
  /** From somewhere else than the party whose port it is. */
  foreignPackets: number;
  /** For a party whose address is not known yet, or that is on hold. */
  undeliveredPackets: number;
  sendErrors: number;
  /** Reports of parties about what they hear, by the estimate of its quality. */
  readonly receptionReports: Record<QualityBand, number>;
  /** Of the relayed packets, those that never came to user space; known when they have been counted there. */
  kernelPackets: number;
  kernelBytes: number;
}

export function newTraffic(): Traffic {
  return {
    relayedPackets: 0,
    relayedBytes: 0,
    malformedPackets: 0,
    foreignPackets: 0,
    undeliveredPackets: 0,
    sendErrors: 0,
    receptionReports: { good: 0, fair: 0, poor: 0, bad: 0 },
    kernelPackets: 0,
    kernelBytes: 0,
  };
}
