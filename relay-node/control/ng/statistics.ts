import type { NgDictionary } from '../../../services/control/ng/message.js';
import type { Traffic } from '../../media/counters.js';
import type { Counts } from '../../media/sessions.js';

export interface StatisticsInput {
  readonly calls: number;
  readonly packetRate: number;
  readonly byteRate: number;
  readonly uptimeMs: number;
  readonly counts: Counts;
  readonly traffic: Traffic;
  readonly address: string;
  readonly ports: {
    readonly min: number;
    readonly max: number;
    readonly total: number;
    readonly free: number;
  };
}

/** The reply to `statistics`: the part of rtpengine's that means something for this relay. */
export function statisticsReport(input: StatisticsInput): NgDictionary {
  const { counts, traffic, ports } = input;
  const timeouts = counts.silentTimeouts + counts.offerTimeouts;
  const droppedPackets = traffic.malformedPackets + traffic.foreignPackets + traffic.undeliveredPackets;
  return {
    currentstatistics: {
      sessionsown: input.calls,
      sessionsforeign: 0,
      sessionstotal: input.calls,
      transcodedmedia: 0,
      packetrate: input.packetRate,
      byterate: input.byteRate,
      errorrate: 0,
      packetrate_user: input.packetRate,
      byterate_user: input.byteRate,
      packetrate_kernel: 0,
      byterate_kernel: 0,
    },
    totalstatistics: {
      // Text, unlike the numbers around it: so does rtpengine, and its readers expect that.
      uptime: String(Math.floor(input.uptimeMs / 1000)),
      managedsessions: counts.managed,
      rejectedsessions: counts.rejected,
      timeoutsessions: timeouts,
      silenttimeoutsessions: counts.silentTimeouts,
      offertimeoutsessions: counts.offerTimeouts,
      regularterminatedsessions: counts.terminated,
      forcedterminatedsessions: 0,
      relayedpackets: traffic.relayedPackets,
      relayedbytes: traffic.relayedBytes,
      relayedpacketerrors: traffic.sendErrors,
      droppedpackets: droppedPackets,
      malformedpackets: traffic.malformedPackets,
      foreignpackets: traffic.foreignPackets,
    },
    interfaces: [
      {
        name: 'default',
        address: input.address,
        ports: {
          min: ports.min,
          max: ports.max,
          used: 2 * (ports.total - ports.free),
          free: 2 * ports.free,
          totals: 2 * ports.total,
        },
      },
    ],
  };
}
