import { performance } from 'node:perf_hooks';
import { errorCodes } from '../../../services/control/rtpproxy/errors.js';
import type { Info } from '../../../services/control/rtpproxy/statistics.js';
import type { UdpServerCounters } from '../../../services/control/udp/server.js';
import type { Dialog } from '../../media/dialog.js';
import type { MediaRelay } from '../../media/media-relay.js';
import { CommandError } from './command-error.js';

/** The reply to `I`. Its sessions are calls, whichever protocol began them. */
export function infoOf(media: MediaRelay): Info {
  const { traffic, sessions } = media;
  const { calls, portPairs, portPairsFree } = media.load();
  return {
    sessionsCreated: sessions.counts.managed,
    activeSessions: calls,
    activeStreams: portPairs - portPairsFree,
    packetsReceived: traffic.relayedPackets + droppedPackets(media),
    packetsTransmitted: traffic.relayedPackets,
    // The share of the time in which the process was not idle.
    averageLoad: performance.eventLoopUtilization().utilization,
  };
}

/** For `G`. @throws CommandError if this relay does not have one of them */
export function relayCounters(
  media: MediaRelay,
  commands: Readonly<UdpServerCounters>,
  names: readonly string[],
): string[] {
  const { counts, size } = media.sessions;
  const info = infoOf(media);
  const counters: Readonly<Record<string, number>> = {
    nsess_created: counts.managed,
    nsess_destroyed: Math.max(0, counts.managed - size),
    nsess_timeout: counts.silentTimeouts + counts.offerTimeouts,
    npkts_rcvd: info.packetsReceived,
    npkts_relayed: info.packetsTransmitted,
    npkts_discard: droppedPackets(media),
    ncmds_rcvd: commands.received,
    ncmds_rcvd_ndups: commands.duplicates + commands.duplicatesInFlight,
    ncmds_repld: commands.replied,
  };
  return select(counters, names, errorCodes.statisticsCounter);
}

const plainNames = ['ttl', 'npkts_ina', 'npkts_ino', 'nrelayed', 'ndropped'] as const;

/** For `Q`. `ttl` is in seconds. @param asked none for the usual five @throws CommandError if this relay does not have one */
export function dialogCounters(
  dialog: Dialog,
  nowMs: number,
  asked: readonly string[],
): { readonly names: readonly string[]; readonly values: readonly string[] } {
  const sides = dialog.streams.flatMap((stream) => (stream ? [stream.sides] : []));
  const sum = (count: (of: (typeof sides)[number]) => number) =>
    sides.reduce((total, each) => total + count(each), 0);
  const received = [sum(([own]) => own.rtp.packets), sum(([, other]) => other.rtp.packets)] as const;
  const undelivered = sum(([own, other]) => own.rtp.undelivered + other.rtp.undelivered);
  const refused = sum(([own, other]) => own.pair.rtp.errors + other.pair.rtp.errors);
  const names = asked.length > 0 ? asked : plainNames;
  const counters: Readonly<Record<(typeof plainNames)[number], number>> = {
    ttl: Math.max(0, Math.ceil((dialog.deadline.atMs - nowMs) / 1000)),
    npkts_ina: received[0],
    npkts_ino: received[1],
    nrelayed: received[0] + received[1] - undelivered,
    ndropped: undelivered + refused,
  };
  return { names, values: select(counters, names, errorCodes.queryCounter) };
}

function select(
  counters: Readonly<Record<string, number>>,
  names: readonly string[],
  unknown: typeof errorCodes.queryCounter | typeof errorCodes.statisticsCounter,
): string[] {
  return names.map((name) => {
    if (!Object.hasOwn(counters, name)) {
      throw new CommandError(unknown);
    }
    return String(counters[name]);
  });
}

function droppedPackets({ traffic }: MediaRelay): number {
  return traffic.malformedPackets + traffic.foreignPackets + traffic.undeliveredPackets;
}
