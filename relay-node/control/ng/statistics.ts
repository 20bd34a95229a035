import type { NgDictionary } from '../../../services/control/ng/message.js';
import type { Clock } from '../../../services/runtime/clock.js';
import type { MediaRelay } from '../../media/media-relay.js';

/** The reply to `statistics`: the part of rtpengine's that means something for this relay. */
export function statisticsReport(media: MediaRelay, clock: Clock): NgDictionary {
  const { traffic, portRange } = media;
  const { counts, size } = media.sessions;
  const { packetRate, byteRate, kernelPacketRate, kernelByteRate, portPairs, portPairsFree } = media.load();
  const timeouts = counts.silentTimeouts + counts.offerTimeouts;
  const droppedPackets = traffic.malformedPackets + traffic.foreignPackets + traffic.undeliveredPackets;
  return {
    currentstatistics: {
      sessionsown: size,
      sessionsforeign: 0,
      sessionstotal: size,
      transcodedmedia: 0,
      packetrate: packetRate,
      byterate: byteRate,
      errorrate: 0,
      packetrate_user: packetRate - kernelPacketRate,
      byterate_user: byteRate - kernelByteRate,
      packetrate_kernel: kernelPacketRate,
      byterate_kernel: kernelByteRate,
    },
    totalstatistics: {
      // A string, unlike the numbers around it: as rtpengine writes it, and its readers expect it.
      uptime: String(Math.floor((clock.monotonicMs() - media.startedAtMs) / 1000)),
      managedsessions: counts.managed,
      rejectedsessions: counts.rejected,
      timeoutsessions: timeouts,
      silenttimeoutsessions: counts.silentTimeouts,
      offertimeoutsessions: counts.offerTimeouts,
      regularterminatedsessions: counts.terminated,
      forcedterminatedsessions: 0,
      relayedpackets: traffic.relayedPackets,
      relayedpackets_user: traffic.relayedPackets - traffic.kernelPackets,
      relayedpackets_kernel: traffic.kernelPackets,
      relayedbytes: traffic.relayedBytes,
      relayedbytes_user: traffic.relayedBytes - traffic.kernelBytes,
      relayedbytes_kernel: traffic.kernelBytes,
      relayedpacketerrors: traffic.sendErrors,
      droppedpackets: droppedPackets,
      malformedpackets: traffic.malformedPackets,
      foreignpackets: traffic.foreignPackets,
    },
    // They share one range of ports.
    interfaces: media.sockets.interfaces.all.map(({ name, advertised, openPairs }) => ({
      name,
      address: advertised,
      ports: {
        min: portRange.min,
        max: portRange.max,
        used: 2 * openPairs,
        free: 2 * portPairsFree,
        totals: 2 * portPairs,
      },
    })),
  };
}
