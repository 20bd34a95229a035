import { isIPv6 } from 'node:net';
import type { NgDictionary, NgValue } from '../../../services/control/ng/message.js';
import type { Clock } from '../../../services/runtime/clock.js';
import type { Call } from '../../media/call.js';
import type { Dialog } from '../../media/dialog.js';
import type { Leg } from '../../media/leg.js';
import type { MediaPort } from '../../media/media-port.js';
import type { Quality } from '../../media/quality.js';
import type { Side } from '../../media/side.js';
import type { Stream } from '../../media/stream.js';

/** What all parts of a report are written with. */
interface Context {
  /** From the monotonic clock to seconds since 1970. */
  readonly toWallSeconds: (monotonicMs: number) => number;
}

/** The reply to `query`, in the words of rtpengine: what `kamctl` and monitoring read. */
export function callReport(call: Call, clock: Clock): NgDictionary {
  const offsetMs = clock.wallMs() - clock.monotonicMs();
  const toWallSeconds = (monotonicMs: number) => Math.floor((monotonicMs + offsetMs) / 1000);
  const context = { toWallSeconds };
  const dialogs = [...call.dialogs];
  const created = Math.floor(call.createdAtWallMs / 1000);
  const lastSignalMs = Math.max(...dialogs.map((dialog) => dialog.lastSignalMs));
  return {
    created,
    'last signal': dialogs.length > 0 ? toWallSeconds(lastSignalMs) : created,
    SSRC: sources(dialogs),
    tags: parties(dialogs, context),
    totals: totals(dialogs),
  };
}

/** How each source is heard, by the reports about it; MOS is ten times the estimate, as in rtpengine. */
function sources(dialogs: readonly Dialog[]): NgDictionary {
  const found: NgDictionary = Object.create(null);
  for (const stream of dialogs.flatMap(({ streams }) => streams)) {
    for (const [ssrc, history] of stream?.quality ?? []) {
      found[String(ssrc)] = {
        'average MOS': { ...quality(history.average), samples: history.samples },
        'lowest MOS': quality(history.lowest),
        'highest MOS': quality(history.highest),
        'cumulative loss': history.latest.lost,
      };
    }
  }
  return found;
}

/** Jitter is in ms, loss in percent. */
function quality({ mos, jitterMs, lossRatio }: Quality): NgDictionary {
  return {
    MOS: Math.round(mos * 10),
    jitter: Math.round(jitterMs),
    'packet loss': Math.round(lossRatio * 100),
  };
}

/** One entry a tag. A party of several dialogs shows the media of the newest, as in rtpengine. */
function parties(dialogs: readonly Dialog[], context: Context): NgDictionary {
  const tags: NgDictionary = Object.create(null);
  let untagged = 0;
  for (const dialog of dialogs) {
    for (const side of [0, 1] as const) {
      const name = dialog.tags[side];
      if (name === undefined) {
        tags[`<untagged ${++untagged}>`] = party('', dialog, side, [dialog], context);
      } else {
        const own = dialogs.filter((other) => other.sideOf(name) !== undefined);
        tags[name] = party(name, dialog, side, own, context);
      }
    }
  }
  return tags;
}

function party(
  tag: string,
  dialog: Dialog,
  side: Side,
  own: readonly Dialog[],
  context: Context,
): NgDictionary {
  const { branch } = dialog;
  const peers = own.map(({ tags }): NgValue => {
    const peer = tags[0] === tag ? tags[1] : tags[0];
    return { tag: peer ?? '', type: 'offer/answer' };
  });
  return {
    tag,
    created: context.toWallSeconds(dialog.createdAtMs),
    ...(branch !== undefined && side === 1 ? { 'via-branch': branch } : {}),
    subscriptions: peers,
    subscribers: peers,
    medias: dialog.streams.flatMap((stream, index) =>
      stream ? [media(stream, index, side, dialog, context)] : [],
    ),
  };
}

function media(stream: Stream, index: number, side: Side, dialog: Dialog, context: Context): NgDictionary {
  const { pair, rtp, rtcp } = stream.sides[side];
  const last = ({ lastPacketMs }: Leg) => context.toWallSeconds(lastPacketMs ?? dialog.createdAtMs);
  return {
    index: index + 1,
    type: stream.type,
    protocol: stream.protocol,
    streams: [portReport(pair.rtp, rtp, 'RTP', last(rtp)), portReport(pair.rtcp, rtcp, 'RTCP', last(rtcp))],
    flags: ['initialized', 'send', 'recv'],
  };
}

function portReport(
  { address, port, errors }: MediaPort,
  leg: Leg,
  kind: string,
  lastPacket: number,
): NgDictionary {
  return {
    'local port': port,
    'local address': address,
    family: family(address),
    endpoint: endpoint(leg.remoteAddress, leg.remotePort),
    'advertised endpoint': endpoint(leg.signaled?.address ?? '', leg.signaled?.port ?? 0),
    'last packet': lastPacket,
    flags: [
      kind,
      ...(leg.learned ? ['confirmed'] : []),
      ...(leg.remotePort > 0 ? ['filled'] : []),
      ...(leg.forwardingPath === 'kernel' ? ['kernelized'] : []),
    ],
    stats: { packets: leg.packets, bytes: leg.bytes, errors },
  };
}

function endpoint(address: string, port: number): NgDictionary {
  return address === '' ? {} : { family: family(address), address, port };
}

function family(address: string): string {
  return isIPv6(address) ? 'IPv6' : 'IPv4';
}

function totals(dialogs: readonly Dialog[]): NgDictionary {
  const sides = dialogs.flatMap(({ streams }) => streams.flatMap((stream) => stream?.sides ?? []));
  const sum = (kind: 'rtp' | 'rtcp'): NgDictionary => {
    const ports = new Set(sides.map(({ pair }) => pair[kind]));
    return {
      packets: sides.reduce((total, side) => total + side[kind].packets, 0),
      bytes: sides.reduce((total, side) => total + side[kind].bytes, 0),
      errors: [...ports].reduce((total, port) => total + port.errors, 0),
    };
  };
  return { RTP: sum('rtp'), RTCP: sum('rtcp') };
}
