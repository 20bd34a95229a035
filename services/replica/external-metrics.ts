import type { Registry } from 'prom-client';
import { type RegisteredRelay, relaysInUse } from '../domain/relay.js';
import { externalMetricsRoutes } from '../external-metrics/api.js';
import type { Clock } from '../runtime/clock.js';
import { HttpServer } from '../runtime/http-server.js';
import type { Logger } from '../runtime/log.js';
import { type TlsFiles, type TlsFilesDeps, tlsFiles } from '../runtime/tls-files.js';
import { tlsFile } from '../runtime/tls-material.js';
import { type ExternalMetricsConfig, externalMetricsSettings } from './external-metrics-settings.js';

interface ExternalMetricsDeps {
  readonly certificates: TlsFiles | undefined;
  readonly relays: () => readonly RegisteredRelay[];
  /** Why the list of relays is not how things are now, or undefined. */
  readonly outdated: () => string | undefined;
  readonly metrics: Registry;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What that API is served with, if it is served. */
export function externalMetricsTls(
  config: ExternalMetricsConfig,
  shared: Omit<TlsFilesDeps, 'purpose'>,
): TlsFiles | undefined {
  const { externalMetricsTlsCert, externalMetricsTlsKey, externalMetricsTlsClientCa } =
    externalMetricsSettings;
  const paths = {
    cert: tlsFile(externalMetricsTlsCert, config.externalMetricsTlsCert),
    key: tlsFile(externalMetricsTlsKey, config.externalMetricsTlsKey),
    ca: tlsFile(externalMetricsTlsClientCa, config.externalMetricsTlsClientCa),
  };
  return tlsFiles(paths, { ...shared, purpose: 'external metrics' });
}

/** The API through which Kubernetes scales relays, if it is served. */
export function openExternalMetrics(
  config: ExternalMetricsConfig,
  { certificates, relays, outdated, metrics, clock, log }: ExternalMetricsDeps,
): HttpServer | undefined {
  const {
    externalMetricsListen: address,
    externalMetricsNamespace: namespace,
    externalMetricsRelease: release,
  } = config;
  // These need each other.
  if (!address || !certificates || namespace === undefined || release === undefined) {
    return undefined;
  }
  const { externalMetricsListen, externalMetricsTlsClientCa } = externalMetricsSettings;
  return new HttpServer({
    listen: address,
    listenSetting: externalMetricsListen.name,
    tls: {
      files: certificates,
      clients: {
        caSetting: externalMetricsTlsClientCa.name,
        commonNames: config.externalMetricsClientNames,
      },
    },
    metrics,
    notReady: outdated,
    routes: externalMetricsRoutes(
      { relaysInUse: () => relaysInUse(relays()), outdated, clock },
      { namespace, release },
    ),
    clock,
    log,
  });
}
