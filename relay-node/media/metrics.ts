import { Counter, Gauge, type Registry } from 'prom-client';
import type { MediaRelay } from './media-relay.js';

/** What the built-in relay forwards, and how. */
export function reportMedia(registry: Registry, media: MediaRelay): void {
  const registers = [registry];
  const byPath = (name: string, help: string, total: () => number, inKernel: () => number) =>
    new Counter({
      name,
      help,
      registers,
      labelNames: ['path'],
      collect() {
        this.reset();
        this.inc({ path: 'kernel' }, inKernel());
        this.inc({ path: 'userspace' }, total() - inKernel());
      },
    });
  const { traffic } = media;
  byPath(
    'holdfast_relay_forwarded_packets_total',
    'RTP and RTCP packets that the built-in relay forwarded, by path',
    () => traffic.relayedPackets,
    () => traffic.kernelPackets,
  );
  byPath(
    'holdfast_relay_forwarded_bytes_total',
    'Bytes of these packets, by path',
    () => traffic.relayedBytes,
    () => traffic.kernelBytes,
  );
  new Gauge({
    name: 'holdfast_relay_kernel_streams',
    help: 'Streams, each of one direction, that the kernel forwards',
    registers,
    collect() {
      this.set(media.offload?.streams ?? 0);
    },
  });
  new Counter({
    name: 'holdfast_relay_reception_reports_total',
    help: 'Reports of parties about what they hear (RTCP), by the estimate of its MOS: good from 4.0 on, fair 3.6, poor 3.1, else bad',
    registers,
    labelNames: ['quality'],
    collect() {
      this.reset();
      for (const [quality, reports] of Object.entries(traffic.receptionReports)) {
        this.inc({ quality }, reports);
      }
    },
  });
  new Gauge({
    name: 'holdfast_relay_recordings',
    help: 'Recordings that are being written',
    registers,
    collect() {
      this.set(media.recorder?.active ?? 0);
    },
  });
  new Counter({
    name: 'holdfast_relay_recording_failures_total',
    help: 'Recordings that could not begin, or ended before their time',
    registers,
    collect() {
      this.reset();
      this.inc(media.recorder?.failures ?? 0);
    },
  });
  new Counter({
    name: 'holdfast_relay_kernel_rebuilds_total',
    help: 'Times that the nftables table was lost and built again',
    registers,
    collect() {
      this.reset();
      this.inc(media.offload?.rebuilds ?? 0);
    },
  });
}
