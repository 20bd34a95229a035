import { setTimeout as delay } from 'node:timers/promises';
import type { MediaNote } from '../support/sipp.js';
import type { Phone } from './calls-phones.js';

/** What one party sends, and how it arrives at the other. */
interface Direction {
  readonly payloadType: number;
  readonly arrives: (packet: Buffer, sent: readonly Buffer[]) => boolean;
}

/** What the relay does to the media from the caller to the callee, and back; undefined if nobody listens. */
export interface Media {
  readonly there: Direction;
  readonly back?: Direction;
}

const [pcmu, pcma] = [0, 8];
const unchanged: Direction = {
  payloadType: pcma,
  arrives: (packet, sent) => sent.some((each) => each.equals(packet)),
};
const recoded = (from: number, to: number): Direction => ({
  payloadType: from,
  arrives: (packet) => ((packet[1] ?? 0) & 0x7f) === to,
});

export const plain: Media = { there: unchanged, back: unchanged };
/** The callee speaks PCMU. */
export const transcoded: Media = { there: recoded(pcma, pcmu), back: recoded(pcmu, pcma) };
/** SRTP for the callee, which has no way to send any: it adds a tag of 10 bytes (RFC 3711 section 3.1). */
export const encrypted: Media = {
  there: { payloadType: pcma, arrives: (packet, [first]) => packet.length === (first?.length ?? 0) + 10 },
};

/** How many calls are heard, where the parties were told with this note to send their media. */
export async function heard(
  caller: Phone,
  callee: Phone,
  note: string,
  { there, back }: Media = plain,
): Promise<number> {
  const atCallee = callee.sipp.noted(note);
  const all = [...caller.sipp.noted(note)].map(async ([callId, one]) => {
    const other = atCallee.get(callId);
    return (
      other !== undefined &&
      (await hears({ from: caller, at: one }, { to: callee, at: other }, there)) &&
      (!back || (await hears({ from: callee, at: other }, { to: caller, at: one }, back)))
    );
  });
  return (await Promise.all(all)).filter(Boolean).length;
}

const periodMs = 50;
const tries = 20;

/** Sends until something arrives: a relay may need a packet to learn where one comes from. It comes from where the other sends. */
async function hears(
  { from, at }: { from: Phone; at: MediaNote },
  { to, at: source }: { to: Phone; at: MediaNote },
  { payloadType, arrives }: Direction,
): Promise<boolean> {
  const sent: Buffer[] = [];
  const { heard: all } = to.audio.rtp;
  const before = all.length;
  for (let i = 0; i < tries; i++) {
    sent.push(await from.audio.sendRtp({ ...at, rtcpPort: at.port + 1 }, payloadType));
    await delay(periodMs);
    const ofCall = all.slice(before).filter(({ from: { port } }) => port === source.port);
    if (ofCall.some(({ data, from: { address } }) => address === source.address && arrives(data, sent))) {
      return true;
    }
  }
  return false;
}
