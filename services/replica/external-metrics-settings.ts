import { z } from 'zod';
import {
  addressSchema,
  type ConfigOf,
  listOf,
  pathSchema,
  pemRule,
  type Setting,
  type Settings,
} from '../runtime/config.js';

const maxNames = 16;
const parseName = (text: string) => (/^[\x21-\x7e]{1,253}$/.test(text) ? text : undefined);

const labelRule = '1-63 of a-z A-Z 0-9 . _ -';
const labelSchema: z.ZodType<string, string> = z.string().regex(/^[\w.-]{1,63}$/);

/** Of the API through which Kubernetes scales relays. */
export const externalMetricsSettings = {
  externalMetricsListen: {
    name: 'HOLDFAST_EXTERNAL_METRICS_LISTEN',
    flag: '--external-metrics <host:port>',
    description:
      'HTTPS address of the external metrics API of Kubernetes, by which it scales relays; not served if not set',
    allowed: 'HOST:PORT, with certificate, key, authority, namespace and release',
    schema: addressSchema,
  },
  externalMetricsTlsCert: {
    name: 'HOLDFAST_EXTERNAL_METRICS_TLS_CERT',
    flag: '--external-metrics-tls-cert <file>',
    description: 'certificate of that API',
    allowed: pemRule,
    schema: pathSchema,
  },
  externalMetricsTlsKey: {
    name: 'HOLDFAST_EXTERNAL_METRICS_TLS_KEY',
    flag: '--external-metrics-tls-key <file>',
    description: 'key of that certificate',
    allowed: pemRule,
    schema: pathSchema,
  },
  externalMetricsTlsClientCa: {
    name: 'HOLDFAST_EXTERNAL_METRICS_TLS_CLIENT_CA',
    flag: '--external-metrics-tls-client-ca <file>',
    description:
      'certificates of the authority that signs the certificate with which the Kubernetes API server asks: its `--requestheader-client-ca-file`',
    allowed: pemRule,
    schema: pathSchema,
  },
  externalMetricsClientNames: {
    name: 'HOLDFAST_EXTERNAL_METRICS_CLIENT_NAMES',
    flag: '--external-metrics-client-names <names>',
    description:
      'common names of that certificate, of which it must have one: `--requestheader-allowed-names`; every name if not set',
    allowed: `1-${maxNames} names, separated by commas`,
    schema: listOf(parseName, maxNames),
  },
  externalMetricsNamespace: {
    name: 'HOLDFAST_EXTERNAL_METRICS_NAMESPACE',
    flag: '--external-metrics-namespace <name>',
    description: 'namespace whose autoscalers are answered',
    allowed: labelRule,
    schema: labelSchema,
  },
  externalMetricsRelease: {
    name: 'HOLDFAST_EXTERNAL_METRICS_RELEASE',
    flag: '--external-metrics-release <name>',
    description: 'label `release` of the metric',
    allowed: labelRule,
    schema: labelSchema,
  },
} as const satisfies Settings;

export type ExternalMetricsConfig = ConfigOf<typeof externalMetricsSettings>;

/** One of them needs all others, but for the names: without an authority everybody could ask. */
export function externalMetricsProblems(config: ExternalMetricsConfig): string[] {
  const { externalMetricsClientNames: names, ...needed } = externalMetricsSettings;
  const keys = Object.keys({
    ...needed,
    externalMetricsClientNames: names,
  }) as (keyof ExternalMetricsConfig)[];
  const given = keys.find((key) => config[key] !== undefined);
  if (given === undefined) {
    return [];
  }
  return (Object.keys(needed) as (keyof typeof needed)[])
    .filter((key) => config[key] === undefined)
    .map((key) => `${needed[key].name} is not set; ${nameOf(given)} needs it`);
}

function nameOf(key: keyof ExternalMetricsConfig): string {
  const setting: Setting<unknown> = externalMetricsSettings[key];
  return setting.name;
}
