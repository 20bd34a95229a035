import { Gauge, type Registry } from 'prom-client';
import type { TlsFiles } from './tls-files.js';

/** Reports when the certificates of this process expire, so that a missed renewal is noticed in time. */
export function reportCertificates(
  registry: Registry,
  files: Readonly<Record<string, TlsFiles | undefined>>,
): void {
  const watched = Object.entries(files).filter(([, each]) => each !== undefined);
  if (watched.length === 0) {
    return;
  }
  new Gauge({
    name: 'holdfast_certificate_expiry_timestamp_seconds',
    help: 'When the certificate that this process presents expires, in Unix time',
    labelNames: ['purpose'],
    registers: [registry],
    collect() {
      for (const [purpose, each] of watched) {
        if (each?.current.validUntilMs !== undefined) {
          this.set({ purpose }, each.current.validUntilMs / 1000);
        }
      }
    },
  });
}
