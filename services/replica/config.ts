import { z } from 'zod';
import { selfHost } from '../control/rtpproxy/notify-socket.js';
import { parseStreamAddress } from '../control/stream/address.js';
import { type GatewayListener, listenersRule, parseListeners } from '../gateway/listener.js';
import { parseNamePattern } from '../grpc/certificate-names.js';
import { policyNames } from '../placement/placement.js';
import { maxLingerSeconds, minLingerSeconds } from '../registry/shared-settings.js';
import {
  addressSchema,
  type ConfigOf,
  commonSettings,
  etcdProblems,
  listOf,
  pairProblems,
  pathSchema,
  pemRule,
  readConfig,
  type Settings,
  wholeNumber,
} from '../runtime/config.js';
import { ConfigError } from '../runtime/config-error.js';
import { parseNetwork } from '../runtime/network.js';
import { withoutQuorumModes } from '../selection/outage/outage-fallback.js';
import { externalMetricsProblems, externalMetricsSettings } from './external-metrics-settings.js';

const maxNames = 64;
const namesRule = `1-${maxNames} names, *.DOMAIN for all one label below it, separated by commas`;

const networksRule = '1-64 of ADDRESS or ADDRESS/BITS, separated by commas';
const networksSchema = listOf(parseNetwork, 64);

const maxNotifySockets = 16;
const notifySocketsRule = `1-${maxNotifySockets} of tcp:HOST:PORT, tcp:${selfHost}:PORT for whichever proxy names it, or unix:PATH, separated by commas`;

function parseListedSocket(text: string): string | undefined {
  return parseStreamAddress(text) && text;
}

const hepNgModes = ['on', 'off'] as const;

const pageModes = ['auto', 'on', 'off'] as const;

const listenersSchema = z.string().transform((text, context): GatewayListener[] => {
  const listeners = parseListeners(text);
  if (listeners) {
    return listeners;
  }
  context.addIssue('an item is malformed, or there are too many');
  return z.NEVER;
});

export const selectionSettings = {
  grpcListen: {
    name: 'HOLDFAST_GRPC_LISTEN',
    flag: '--grpc <host:port>',
    description: 'where gRPC is served; port 0 takes a free one',
    allowed: 'HOST:PORT',
    fallback: '127.0.0.1:7400',
    schema: addressSchema,
  },
  grpcTlsCert: {
    name: 'HOLDFAST_GRPC_TLS_CERT',
    flag: '--grpc-tls-cert <file>',
    description: 'certificate for gRPC over TLS; without it gRPC is not encrypted',
    allowed: `${pemRule}, with HOLDFAST_GRPC_TLS_KEY`,
    schema: pathSchema,
  },
  grpcTlsKey: {
    name: 'HOLDFAST_GRPC_TLS_KEY',
    flag: '--grpc-tls-key <file>',
    description: 'key of that certificate',
    allowed: `${pemRule}, with HOLDFAST_GRPC_TLS_CERT`,
    schema: pathSchema,
  },
  grpcTlsClientCa: {
    name: 'HOLDFAST_GRPC_TLS_CLIENT_CA',
    flag: '--grpc-tls-client-ca <file>',
    description:
      'certificates of the authority that signs client certificates; if set, every client must present one',
    allowed: `${pemRule}, with HOLDFAST_GRPC_TLS_CERT`,
    schema: pathSchema,
  },
  grpcSelectNames: {
    name: 'HOLDFAST_GRPC_SELECT_NAMES',
    flag: '--grpc-select-names <names>',
    description: 'certificate names that are permitted to select; every name if not set',
    allowed: `${namesRule}, with HOLDFAST_GRPC_TLS_CLIENT_CA`,
    schema: listOf(parseNamePattern, maxNames),
  },
  grpcAdminNames: {
    name: 'HOLDFAST_GRPC_ADMIN_NAMES',
    flag: '--grpc-admin-names <names>',
    description: 'certificate names that are permitted to administer; every name if not set',
    allowed: `${namesRule}, with HOLDFAST_GRPC_TLS_CLIENT_CA`,
    schema: listOf(parseNamePattern, maxNames),
  },
  grpcMaxConnectionAgeSeconds: {
    name: 'HOLDFAST_GRPC_MAX_CONNECTION_AGE_SECONDS',
    flag: '--grpc-max-connection-age <seconds>',
    description: 'a gRPC client is told to reconnect after about this long, s; 0 is never',
    allowed: '0-86400',
    fallback: '0',
    schema: wholeNumber(0, 86_400),
  },
  placement: {
    name: 'HOLDFAST_PLACEMENT',
    flag: '--placement <policy>',
    description: 'how a relay is chosen for a new call',
    allowed: policyNames.join(', '),
    fallback: 'least-loaded',
    schema: z.enum(policyNames) as z.ZodType<(typeof policyNames)[number], string>,
  },
  setupTtlSeconds: {
    name: 'HOLDFAST_SETUP_TTL_SECONDS',
    flag: '--setup-ttl <seconds>',
    description: 'minimum life of a binding after the request that made it, s',
    allowed: '10-86400',
    fallback: '300',
    schema: wholeNumber(10, 86_400),
  },
  callTtlSeconds: {
    name: 'HOLDFAST_CALL_TTL_SECONDS',
    flag: '--call-ttl <seconds>',
    description: 'minimum life of a binding after any later use, s',
    allowed: '10-86400',
    fallback: '3600',
    schema: wholeNumber(10, 86_400),
  },
  lingerSeconds: {
    name: 'HOLDFAST_LINGER_SECONDS',
    flag: '--linger <seconds>',
    description: 'how long a released binding is kept, s; the same for all replicas',
    allowed: `${minLingerSeconds}-${maxLingerSeconds}`,
    fallback: '30',
    schema: wholeNumber(minLingerSeconds, maxLingerSeconds),
  },
  cacheEntries: {
    name: 'HOLDFAST_CACHE_ENTRIES',
    flag: '--cache-entries <count>',
    description: 'most bindings that a replica remembers',
    allowed: '0-10000000',
    fallback: '200000',
    schema: wholeNumber(0, 10_000_000),
  },
  provisionalEntries: {
    name: 'HOLDFAST_PROVISIONAL_ENTRIES',
    flag: '--provisional-entries <count>',
    description: 'most calls that a replica gives a provisional relay while etcd is out of reach',
    allowed: '0-10000000',
    fallback: '200000',
    schema: wholeNumber(0, 10_000_000),
  },
  withoutQuorum: {
    name: 'HOLDFAST_WITHOUT_QUORUM',
    flag: '--without-quorum <mode>',
    description:
      'what happens to new calls while etcd is out of reach: they get a provisional relay, or are refused; the same for all replicas',
    allowed: withoutQuorumModes.join(', '),
    fallback: 'available',
    schema: z.enum(withoutQuorumModes) as z.ZodType<(typeof withoutQuorumModes)[number], string>,
  },
  massLossPercent: {
    name: 'HOLDFAST_MASS_LOSS_PERCENT',
    flag: '--mass-loss <percent>',
    description:
      'share of the relays that can vanish within 5 s and be believed gone at once while this replica’s own view is suspect, %; 100 believes every loss',
    allowed: '0-100',
    fallback: '15',
    schema: wholeNumber(0, 100),
  },
  stopDeadlineSeconds: {
    name: 'HOLDFAST_STOP_DEADLINE_SECONDS',
    flag: '--stop-deadline <seconds>',
    description: 'shutdown deadline, s',
    allowed: '2-3600',
    fallback: '10',
    schema: wholeNumber(2, 3600),
  },
  leaveSeconds: {
    name: 'HOLDFAST_LEAVE_SECONDS',
    flag: '--leave <seconds>',
    description:
      'how long a replica that was told to stop keeps serving while it reports that it is not ready, s: as long as a load balancer still sends it datagrams',
    allowed: '0-600',
    fallback: '0',
    schema: wholeNumber(0, 600),
  },
  ngListen: {
    name: 'HOLDFAST_NG_LISTEN',
    flag: '--ng <host:port,...>',
    description:
      'UDP addresses of the ng gateway for SIP proxies, each with the relay set, the preferred zone and the required labels of its calls; no gateway if not set',
    allowed: listenersRule,
    schema: listenersSchema,
  },
  ngAllow: {
    name: 'HOLDFAST_NG_ALLOW',
    flag: '--ng-allow <networks>',
    description: 'networks that the ng gateway serves; datagrams from others are counted and dropped',
    allowed: networksRule,
    fallback: '127.0.0.0/8,::1',
    schema: networksSchema,
  },
  ngRate: {
    name: 'HOLDFAST_NG_RATE',
    flag: '--ng-rate <count>',
    description:
      'datagrams per second that the ng gateway accepts from one source, twice as many in a burst; 0 is no limit',
    allowed: '0-1000000',
    fallback: '10000',
    schema: wholeNumber(0, 1_000_000),
  },
  rtpproxyListen: {
    name: 'HOLDFAST_RTPPROXY_LISTEN',
    flag: '--rtpproxy <host:port,...>',
    description:
      'UDP addresses of the gateway for SIP proxies that speak rtpproxy’s protocol, each with the same options; no gateway if not set',
    allowed: listenersRule,
    schema: listenersSchema,
  },
  rtpproxyAllow: {
    name: 'HOLDFAST_RTPPROXY_ALLOW',
    flag: '--rtpproxy-allow <networks>',
    description: 'networks that the rtpproxy gateway serves; datagrams from others are counted and dropped',
    allowed: networksRule,
    fallback: '127.0.0.0/8,::1',
    schema: networksSchema,
  },
  rtpproxyRate: {
    name: 'HOLDFAST_RTPPROXY_RATE',
    flag: '--rtpproxy-rate <count>',
    description:
      'datagrams per second that the rtpproxy gateway accepts from one source, twice as many in a burst; 0 is no limit',
    allowed: '0-1000000',
    fallback: '10000',
    schema: wholeNumber(0, 1_000_000),
  },
  rtpproxyNotify: {
    name: 'HOLDFAST_RTPPROXY_NOTIFY',
    flag: '--rtpproxy-notify <sockets>',
    description:
      'sockets on which SIP proxies can be notified of timeouts, as with -n of rtpproxy; without it the gateway notifies nobody',
    allowed: `${notifySocketsRule}, with HOLDFAST_RTPPROXY_NOTIFY_LISTEN`,
    schema: listOf(parseListedSocket, maxNotifySockets),
  },
  rtpproxyNotifyListen: {
    name: 'HOLDFAST_RTPPROXY_NOTIFY_LISTEN',
    flag: '--rtpproxy-notify-listen <host:port>',
    description:
      'TCP address where relays notify the rtpproxy gateway of timeouts, from the networks that it serves: start each rtpproxy with -n tcp:%%CC_SELF%%:PORT',
    allowed: 'HOST:PORT, with HOLDFAST_RTPPROXY_NOTIFY',
    schema: addressSchema,
  },
  hep: {
    name: 'HOLDFAST_HEP',
    flag: '--hep <host:port>',
    description:
      'where call events are sent as HEP3 over UDP: Homer, or another receiver; none are sent if not set',
    allowed: 'HOST:PORT',
    schema: addressSchema,
  },
  hepId: {
    name: 'HOLDFAST_HEP_ID',
    flag: '--hep-id <number>',
    description: 'capture agent id of this replica at Homer',
    allowed: '0-4294967295',
    fallback: '2100',
    schema: wholeNumber(0, 4_294_967_295),
  },
  hepNg: {
    name: 'HOLDFAST_HEP_NG',
    flag: '--hep-ng <mode>',
    description:
      'whether the ng gateway’s commands and replies are mirrored over HEP, as rtpengine does; they contain the SDP of calls',
    allowed: hepNgModes.join(', '),
    fallback: 'off',
    schema: z.enum(hepNgModes) as z.ZodType<(typeof hepNgModes)[number], string>,
  },
  ...externalMetricsSettings,
  ...commonSettings,
  httpListen: { ...commonSettings.httpListen, fallback: '127.0.0.1:7480' },
  page: {
    name: 'HOLDFAST_PAGE',
    flag: '--page <mode>',
    description:
      'whether the same port serves the page and its API, which show relays and calls to anyone who can connect; auto: only on loopback',
    allowed: pageModes.join(', '),
    fallback: 'auto',
    schema: z.enum(pageModes) as z.ZodType<(typeof pageModes)[number], string>,
  },
} as const satisfies Settings;

export type SelectionConfig = ConfigOf<typeof selectionSettings>;

/** @throws ConfigError */
export function readSelectionConfig(environment: NodeJS.ProcessEnv): SelectionConfig {
  const config = readConfig(selectionSettings, environment);
  const { grpcTlsCert, grpcTlsKey, grpcTlsClientCa, grpcSelectNames, grpcAdminNames } = selectionSettings;
  const problems = [
    ...etcdProblems(config),
    ...pairProblems([grpcTlsCert, config.grpcTlsCert], [grpcTlsKey, config.grpcTlsKey]),
  ];
  problems.push(...notificationProblems(config), ...externalMetricsProblems(config));
  if (config.grpcTlsClientCa !== undefined && config.grpcTlsCert === undefined) {
    problems.push(`${grpcTlsCert.name} is not set; ${grpcTlsClientCa.name} needs it`);
  }
  for (const [{ name }, names] of [
    [grpcSelectNames, config.grpcSelectNames],
    [grpcAdminNames, config.grpcAdminNames],
  ] as const) {
    if (names && config.grpcTlsClientCa === undefined) {
      problems.push(`${grpcTlsClientCa.name} is not set; ${name} needs it: names are read from certificates`);
    }
  }
  if (problems.length > 0) {
    throw new ConfigError(problems);
  }
  return config;
}

/** Both ends of the way of a timeout, and the gateway between them. */
function notificationProblems({
  rtpproxyListen,
  rtpproxyNotify,
  rtpproxyNotifyListen,
}: SelectionConfig): string[] {
  const needed = [
    [selectionSettings.rtpproxyNotify, rtpproxyNotify],
    [selectionSettings.rtpproxyNotifyListen, rtpproxyNotifyListen],
  ] as const;
  const given = needed.find(([, value]) => value !== undefined);
  if (!given) {
    return [];
  }
  return [...needed, [selectionSettings.rtpproxyListen, rtpproxyListen] as const]
    .filter(([, value]) => value === undefined)
    .map(([{ name }]) => `${name} is not set; ${given[0].name} needs it`);
}
