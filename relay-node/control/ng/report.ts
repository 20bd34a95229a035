import { isIPv6 } from 'node:net';
import type { NgDictionary, NgValue } from '../../../services/control/ng/message.js';
import type { Call } from '../../media/call.js';
import type { Dialog } from '../../media/dialog.js';
import type { MediaPort } from '../../media/media-port.js';
import type { MediaSockets } from '../../media/sockets.js';
import { otherSide, type Side, type Stream } from '../../media/stream.js';

/** The reply to `query`, in the words of rtpengine: what `kamctl` and monitoring read. */
export function callReport(
  call: Call,
  sockets: MediaSockets,
  toWallSeconds: (monotonicMs: number) => number,
): NgDictionary {
  const dialogs = [...call.dialogs];
  const tags: NgDictionary = Object.create(null);
  let untagged = 0;
  for (const dialog of dialogs) {
    for (const side of [0, 1] as const) {
      const names = [...dialog.tags[side]];
      if (names.length === 0) {
        tags[`<untagged ${++untagged}>`] = party('', dialog, side, sockets, toWallSeconds);
      }
      for (const name of names) {
        tags[name] = party(name, dialog, side, sockets, toWallSeconds);
      }
    }
  }
  const lastSignalMs = Math.max(...dialogs.map((dialog) => dialog.lastSignalMs));
  return {
    created: Math.floor(call.createdAtWallMs / 1000),
    'last signal': dialogs.length > 0 ? toWallSeconds(lastSignalMs) : Math.floor(call.createdAtWallMs / 1000),
    SSRC: {},
    tags,
    totals: totals(dialogs),
  };
}

function party(
  tag: string,
  dialog: Dialog,
  side: Side,
  sockets: MediaSockets,
  toWallSeconds: (monotonicMs: number) => number,
): NgDictionary {
  const others = [...dialog.tags[otherSide(side)]].map(
    (other): NgValue => ({ tag: other, type: 'offer/answer' }),
  );
  const lastPacket = toWallSeconds(dialog.lastPacketMs);
  return {
    tag,
    created: toWallSeconds(dialog.createdAtMs),
    subscriptions: others,
    subscribers: others,
    medias: dialog.streams.flatMap((stream, index) =>
      stream ? [media(stream, index, side, sockets, lastPacket)] : [],
    ),
  };
}

function media(
  stream: Stream,
  index: number,
  side: Side,
  sockets: MediaSockets,
  lastPacket: number,
): NgDictionary {
  const { rtp, rtcp } = stream.pairs[side];
  return {
    index: index + 1,
    type: stream.type,
    protocol: stream.protocol,
    streams: [portReport(rtp, 'RTP', sockets, lastPacket), portReport(rtcp, 'RTCP', sockets, lastPacket)],
    flags: ['initialized', 'send', 'recv'],
  };
}

function portReport(port: MediaPort, kind: string, sockets: MediaSockets, lastPacket: number): NgDictionary {
  return {
    'local port': port.port,
    'local address': sockets.address,
    family: family(sockets.address),
    endpoint: endpoint(port.remoteAddress, port.remotePort),
    'advertised endpoint': endpoint(port.signaled?.address ?? '', port.signaled?.port ?? 0),
    'last packet': lastPacket,
    flags: [kind, ...(port.learned ? ['confirmed'] : []), ...(port.remotePort > 0 ? ['filled'] : [])],
    stats: { packets: port.packets, bytes: port.bytes, errors: port.errors },
  };
}

function endpoint(address: string, port: number): NgDictionary {
  return address === '' ? {} : { family: family(address), address, port };
}

function family(address: string): string {
  return isIPv6(address) ? 'IPv6' : 'IPv4';
}

function totals(dialogs: readonly Dialog[]): NgDictionary {
  const pairs = dialogs.flatMap((dialog) => dialog.streams.flatMap((stream) => stream?.pairs ?? []));
  const sum = (ports: readonly MediaPort[]): NgDictionary => ({
    packets: ports.reduce((total, port) => total + port.packets, 0),
    bytes: ports.reduce((total, port) => total + port.bytes, 0),
    errors: ports.reduce((total, port) => total + port.errors, 0),
  });
  return { RTP: sum(pairs.map((pair) => pair.rtp)), RTCP: sum(pairs.map((pair) => pair.rtcp)) };
}
