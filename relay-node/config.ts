import { isIP } from 'node:net';
import { isAbsolute } from 'node:path';
import { z } from 'zod';
import {
  type ControlAddress,
  formatControlUrl,
  parseControlUrl,
} from '../services/control/control-address.js';
import { defaultSet, isName, nameRule } from '../services/domain/name.js';
import {
  defaultWeight,
  maxCapacity,
  maxFeatures,
  maxLabels,
  maxMediaAddresses,
  maxWeight,
} from '../services/domain/relay.js';
import { commandLineRule } from '../services/runtime/command-line.js';
import {
  addressSchema,
  type ConfigOf,
  commandLineSchema,
  commonSettings,
  etcdProblems,
  readConfig,
  type Settings,
  wholeNumber,
} from '../services/runtime/config.js';
import { ConfigError } from '../services/runtime/config-error.js';

/** The kinds of relay that a relay node can serve. */
export const servedKinds = ['builtin', 'rtpengine', 'rtpproxy'] as const;

const controlSchema = z.string().transform((text, context): ControlAddress => {
  const control = parseControlUrl(/^(?:tcp|unix):/.test(text) ? text : `udp:${text}`);
  if (control) {
    return control;
  }
  context.addIssue('not HOST:PORT, tcp:HOST:PORT or unix:PATH');
  return z.NEVER;
});

/** `NAME=IP@IP`: the second is what parties are told. */
export interface MediaSetting {
  readonly name: string;
  readonly address: string;
  readonly advertised: string;
}

const interfacesSchema = z
  .string()
  .transform((text, context): readonly MediaSetting[] => {
    const interfaces: MediaSetting[] = [];
    for (const part of text.split(',').filter((each) => each.trim() !== '')) {
      const [, name, address, advertised = address] =
        /^\s*([\w.-]{1,63})=([^@\s]+)(?:@([^@\s]+))?\s*$/.exec(part) ?? [];
      const isTwice = interfaces.some((each) => each.name === name && each.address === address);
      if (name === undefined || address === undefined || advertised === undefined || isTwice) {
        context.addIssue('not NAME=IP or NAME=IP@IP');
        return z.NEVER;
      }
      interfaces.push({ name, address, advertised });
    }
    return interfaces;
  })
  .refine((interfaces) => interfaces.length > 0 && interfaces.length <= maxMediaAddresses)
  .refine((interfaces) =>
    interfaces.every(
      ({ address, advertised }) =>
        isReachable(address) && isReachable(advertised) && isIP(address) === isIP(advertised),
    ),
  );

const forwardingChoices = ['auto', 'kernel', 'userspace'] as const;
const recordingFormats = ['pcap', 'wav', 'wav-channels'] as const;

export const relayNodeSettings = {
  id: {
    name: 'HOLDFAST_RELAY_ID',
    flag: '--id <name>',
    description: 'name of the relay, unique in its set',
    allowed: nameRule,
    required: true,
    schema: z.string().refine(isName),
  },
  set: {
    name: 'HOLDFAST_RELAY_SET',
    flag: '--set <name>',
    description: 'relay set that it joins',
    allowed: nameRule,
    fallback: defaultSet,
    schema: z.string().refine(isName),
  },
  kind: {
    name: 'HOLDFAST_RELAY_KIND',
    flag: '--kind <kind>',
    description: 'kind of the relay: the built-in one in this process, or an rtpengine or rtpproxy',
    allowed: servedKinds.join(', '),
    fallback: 'builtin',
    schema: z.enum(servedKinds) as z.ZodType<(typeof servedKinds)[number], string>,
  },
  control: {
    name: 'HOLDFAST_RELAY_CONTROL',
    flag: '--control <address>',
    description:
      "the relay's control address: where rtpengine or rtpproxy listens, or where the built-in relay is to listen (port 0: a free one)",
    allowed:
      'HOST:PORT for UDP; for an rtpproxy also tcp:HOST:PORT, or unix:PATH on the host of all its gateways',
    fallback: '127.0.0.1:2223',
    schema: controlSchema,
  },
  advertise: {
    name: 'HOLDFAST_RELAY_ADVERTISE',
    flag: '--advertise <host:port>',
    description: 'control address that gateways and SIP proxies are given, if it differs',
    allowed: 'HOST:PORT, not with a Unix socket',
    schema: addressSchema,
  },
  run: {
    name: 'HOLDFAST_RELAY_RUN',
    flag: '--run',
    description:
      'run the rtpengine or rtpproxy with the command after --, in the foreground: start it again when it has ended, and end it with this process',
    allowed: `${commandLineRule}; not for the built-in relay`,
    takesRest: true,
    schema: commandLineSchema,
  },
  rtpproxyListen: {
    name: 'HOLDFAST_RELAY_RTPPROXY_LISTEN',
    flag: '--rtpproxy-listen <address:port>',
    description:
      'where the built-in relay also speaks rtpproxy’s protocol, advertised under the host of --advertise if that is set; nowhere if not set',
    allowed: 'ADDRESS:PORT, for the built-in relay alone',
    schema: addressSchema,
  },
  media: {
    name: 'HOLDFAST_RELAY_MEDIA',
    flag: '--media <name=ip,...>',
    description:
      'media addresses by interface name, each followed by @ and the address that parties are given if that differs; the built-in relay listens on all, and media that ask for no interface use the first name',
    allowed: `1-${maxMediaAddresses} of NAME=IP or NAME=IP@IP, separated by commas; addresses that parties can send to`,
    fallback: 'default=127.0.0.1',
    schema: interfacesSchema,
  },
  weight: {
    name: 'HOLDFAST_RELAY_WEIGHT',
    flag: '--weight <number>',
    description: 'share of new calls relative to the rest of the set; 0 takes none',
    allowed: `0-${maxWeight}`,
    fallback: String(defaultWeight),
    schema: wholeNumber(0, maxWeight),
  },
  capacity: {
    name: 'HOLDFAST_RELAY_CAPACITY',
    flag: '--capacity <calls>',
    description: 'most concurrent calls; 0 is no limit, and 500 for the built-in relay',
    allowed: `0-${maxCapacity}`,
    fallback: '0',
    schema: wholeNumber(0, maxCapacity),
  },
  zone: {
    name: 'HOLDFAST_RELAY_ZONE',
    flag: '--zone <zone>',
    description: 'zone of the relay, for requests that prefer one',
    allowed: 'at most 63 characters',
    fallback: '',
    schema: z.string().max(63),
  },
  labels: {
    name: 'HOLDFAST_RELAY_LABELS',
    flag: '--labels <name=value,...>',
    description: 'labels that requests can require',
    allowed: `at most ${maxLabels} of NAME=VALUE, separated by commas`,
    fallback: '',
    schema: pairs(maxLabels),
  },
  features: {
    name: 'HOLDFAST_RELAY_FEATURES',
    flag: '--features <name,...>',
    description: 'what the relay can do beyond plain RTP, in place of what it reports itself',
    allowed: `at most ${maxFeatures} names such as srtp, ice, transcode, record, play, ipv4, ipv6, bridge, ng, separated by commas`,
    fallback: '',
    schema: z
      .string()
      .transform((value) => value.split(',').map((name) => name.trim()))
      .transform((names) => names.filter((name) => name !== ''))
      .refine((names) => names.length <= maxFeatures && names.every(isName)) as z.ZodType<string[], string>,
  },
  portMin: {
    name: 'HOLDFAST_RELAY_PORT_MIN',
    flag: '--port-min <port>',
    description: 'first media port of the built-in relay',
    allowed: '1024-65534',
    fallback: '30000',
    schema: wholeNumber(1024, 65_534),
  },
  portMax: {
    name: 'HOLDFAST_RELAY_PORT_MAX',
    flag: '--port-max <port>',
    description: 'last media port of the built-in relay, above the first',
    allowed: '1025-65535',
    fallback: '39999',
    schema: wholeNumber(1025, 65_535),
  },
  forwarding: {
    name: 'HOLDFAST_RELAY_FORWARDING',
    flag: '--forwarding <path>',
    description:
      'how the built-in relay forwards RTP: by nftables in the kernel, in user space, or in the kernel where that is possible',
    allowed: forwardingChoices.join(', '),
    fallback: 'auto',
    schema: z.enum(forwardingChoices) as z.ZodType<(typeof forwardingChoices)[number], string>,
  },
  dscp: {
    name: 'HOLDFAST_RELAY_DSCP',
    flag: '--dscp <codepoint>',
    description:
      'DSCP of all media that the built-in relay sends, such as 46 for expedited forwarding; if not set, packets keep theirs in the kernel, and have none from user space',
    allowed: '0-63, where the kernel forwards',
    schema: wholeNumber(0, 63),
  },
  dtmfLog: {
    name: 'HOLDFAST_RELAY_DTMF_LOG',
    flag: '--dtmf-log <host:port>',
    description:
      'where the built-in relay reports each DTMF key over UDP, as JSON like that of rtpengine; nowhere if not set',
    allowed: 'HOST:PORT, for the built-in relay alone',
    schema: addressSchema,
  },
  webhook: {
    name: 'HOLDFAST_RELAY_WEBHOOK',
    flag: '--webhook <url>',
    description:
      'where the built-in relay POSTs each DTMF key and each call that timed out, as JSON; nowhere if not set',
    allowed: 'an http or https URL without a user, for the built-in relay alone',
    fallback: '',
    schema: z.string().refine((url) => url === '' || isWebhook(url)),
  },
  stateDirectory: {
    name: 'HOLDFAST_RELAY_STATE_DIRECTORY',
    flag: '--state-directory <path>',
    description:
      'where the built-in relay keeps what it needs to continue its calls after its process has ended; nowhere if not set',
    allowed: 'an absolute path',
    fallback: '',
    schema: z.string().refine((path) => path === '' || isAbsolute(path)),
  },
  recordingDirectory: {
    name: 'HOLDFAST_RELAY_RECORDING_DIRECTORY',
    flag: '--recording-directory <path>',
    description: 'where the built-in relay writes recordings; it records nothing if not set',
    allowed: 'an absolute path',
    fallback: '',
    schema: z.string().refine((path) => path === '' || isAbsolute(path)),
  },
  recordingFormat: {
    name: 'HOLDFAST_RELAY_RECORDING_FORMAT',
    flag: '--recording-format <format>',
    description:
      'what the built-in relay records where a request does not say it: packets, or the sound of G.711, with both parties mixed or one a channel',
    allowed: recordingFormats.join(', '),
    fallback: 'pcap',
    schema: z.enum(recordingFormats) as z.ZodType<(typeof recordingFormats)[number], string>,
  },
  promptDirectory: {
    name: 'HOLDFAST_RELAY_PROMPT_DIRECTORY',
    flag: '--prompt-directory <path>',
    description: 'where the built-in relay finds the wav files that it plays; it plays nothing if not set',
    allowed: 'an absolute path',
    fallback: '',
    schema: z.string().refine((path) => path === '' || isAbsolute(path)),
  },
  idleTimeoutSeconds: {
    name: 'HOLDFAST_RELAY_IDLE_TIMEOUT_SECONDS',
    flag: '--idle-timeout <seconds>',
    description: 'the built-in relay ends a call after this long without a packet, s',
    allowed: '5-86400',
    fallback: '60',
    schema: wholeNumber(5, 86_400),
  },
  holdTimeoutSeconds: {
    name: 'HOLDFAST_RELAY_HOLD_TIMEOUT_SECONDS',
    flag: '--hold-timeout <seconds>',
    description: 'the same for a call on hold, s',
    allowed: '5-86400',
    fallback: '3600',
    schema: wholeNumber(5, 86_400),
  },
  setupTimeoutSeconds: {
    name: 'HOLDFAST_RELAY_SETUP_TIMEOUT_SECONDS',
    flag: '--setup-timeout <seconds>',
    description: 'the built-in relay ends an offer that nobody answers after this long, s',
    allowed: '5-86400',
    fallback: '300',
    schema: wholeNumber(5, 86_400),
  },
  deleteDelaySeconds: {
    name: 'HOLDFAST_RELAY_DELETE_DELAY_SECONDS',
    flag: '--delete-delay <seconds>',
    description:
      'how long the built-in relay keeps a deleted call, in case only one branch of it has ended, s',
    allowed: '0-3600',
    fallback: '30',
    schema: wholeNumber(0, 3600),
  },
  drainDeadlineSeconds: {
    name: 'HOLDFAST_DRAIN_DEADLINE_SECONDS',
    flag: '--drain-deadline <seconds>',
    description: 'how long a relay node that was told to stop waits for its calls to end, s',
    allowed: '0-86400',
    fallback: '300',
    schema: wholeNumber(0, 86_400),
  },
  ...commonSettings,
  httpListen: { ...commonSettings.httpListen, fallback: '127.0.0.1:7490' },
} as const satisfies Settings;

export type RelayNodeConfig = ConfigOf<typeof relayNodeSettings>;

/** @throws ConfigError */
export function readRelayNodeConfig(environment: NodeJS.ProcessEnv): RelayNodeConfig {
  const config = readConfig(relayNodeSettings, environment);
  const { portMin, portMax, rtpproxyListen, dtmfLog, webhook, dscp, run } = relayNodeSettings;
  const problems = etcdProblems(config);
  if (config.portMax <= config.portMin) {
    problems.push(`${portMax.name}=${config.portMax}: allowed: above ${portMin.name} (${config.portMin})`);
  }
  for (const [setting, value] of [
    [rtpproxyListen, config.rtpproxyListen],
    [dtmfLog, config.dtmfLog],
    [webhook, config.webhook],
  ] as const) {
    if (value && config.kind !== 'builtin') {
      problems.push(`${setting.name} is set for a relay of kind ${config.kind}: allowed: ${setting.allowed}`);
    }
  }
  if (config.dscp !== undefined && (config.kind !== 'builtin' || config.forwarding === 'userspace')) {
    problems.push(`${dscp.name}=${config.dscp}: allowed: ${dscp.allowed}`);
  }
  if (config.run && config.kind === 'builtin') {
    problems.push(`${run.name} is set for a relay of kind ${config.kind}: allowed: ${run.allowed}`);
  }
  problems.push(...controlProblems(config));
  if (problems.length > 0) {
    throw new ConfigError(problems);
  }
  return config;
}

function controlProblems({ kind, control, advertise }: RelayNodeConfig): string[] {
  const { control: setting, advertise: advertised } = relayNodeSettings;
  if (control.transport === 'udp') {
    return [];
  }
  const given = `${setting.name}=${formatControlUrl(control)}`;
  if (kind !== 'rtpproxy') {
    return [`${given} is set for a relay of kind ${kind}: allowed: ${setting.allowed}`];
  }
  return advertise && 'path' in control.address
    ? [`${given}: ${advertised.name} cannot stand for a Unix socket`]
    : [];
}

function isWebhook(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url !== undefined && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
}

/** An IP address, and not the wildcard. */
function isReachable(address: string): boolean {
  return isIP(address) !== 0 && !/^[0:.]+$/.test(address);
}

/** `a=1,b=2`; empty is none. */
function pairs(limit: number): z.ZodType<Record<string, string>, string> {
  return z
    .string()
    .transform((text, context) => {
      const map: Record<string, string> = {};
      for (const pair of text.split(',').filter((part) => part.trim() !== '')) {
        const [, name, value] = /^\s*([\w.-]{1,63})=([\x21-\x2b\x2d-\x7e]{0,255})\s*$/.exec(pair) ?? [];
        if (name === undefined || value === undefined || name in map) {
          context.addIssue('not NAME=VALUE');
          return z.NEVER;
        }
        map[name] = value;
      }
      return map;
    })
    .refine((map) => Object.keys(map).length <= limit);
}
