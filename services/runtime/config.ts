import { z } from 'zod';
import { type Address, parseAddress } from './address.js';
import { type CommandLine, parseCommandLine } from './command-line.js';
import { ConfigError } from './config-error.js';
import { logLevels } from './log.js';

/** One setting, given by an environment variable or by a command-line flag, which wins. */
export interface Setting<T> {
  /** Environment variable, always beginning with HOLDFAST_. */
  readonly name: string;
  /** Command-line flag in commander's notation; a secret has none. */
  readonly flag?: string;
  readonly description: string;
  /** What is allowed, in words. */
  readonly allowed: string;
  /** The default, as text as in the environment; undefined makes the setting optional. */
  readonly fallback?: string | undefined;
  /** True of a flag without a value of its own: that is a command line, all that follows `--`. */
  readonly takesRest?: true | undefined;
  /** True if the process needs the setting and no default makes sense. */
  readonly required?: true | undefined;
  readonly schema: z.ZodType<T, string>;
}

export type Settings = Readonly<Record<string, Setting<unknown>>>;

/** The values that a table of settings is read as. */
export type ConfigOf<S extends Settings> = {
  readonly [K in keyof S]: S[K] extends Setting<infer T>
    ? S[K] extends { fallback: string } | { required: true }
      ? T
      : T | undefined
    : never;
};

/**
 * Reads all settings from the environment. An empty variable counts as not set.
 * @throws ConfigError
 */
export function readConfig<S extends Settings>(settings: S, environment: NodeJS.ProcessEnv): ConfigOf<S> {
  const problems: string[] = [];
  const config: Record<string, unknown> = {};
  for (const [key, setting] of Object.entries(settings)) {
    const text = environment[setting.name] || setting.fallback;
    if (text === undefined) {
      if (setting.required) {
        problems.push(`${setting.name} is not set; allowed: ${allowedText(setting)}`);
      }
      continue;
    }
    const parsed = setting.schema.safeParse(text);
    if (parsed.success) {
      config[key] = parsed.data;
    } else {
      problems.push(`${setting.name}=${shownValue(setting, text)}: allowed: ${allowedText(setting)}`);
    }
  }
  if (problems.length > 0) {
    throw new ConfigError(problems);
  }
  return config as ConfigOf<S>;
}

/** HOLDFAST_ variables that are set but are no setting, most likely misspelled. */
export function unknownVariables(settings: Settings, environment: NodeJS.ProcessEnv): string[] {
  const known = new Set(Object.values(settings).map(({ name }) => name));
  return Object.keys(environment).filter((name) => name.startsWith('HOLDFAST_') && !known.has(name));
}

/** With the flag: a user who gave it may not know the variable. */
export function allowedText({ allowed, flag }: Setting<unknown>): string {
  return flag === undefined ? allowed : `${allowed} (flag ${flag.split(' ')[0]})`;
}

/** A value for an error: hidden if it is secret. */
export function shownValue(setting: Setting<unknown>, text: string): string {
  if (setting.flag === undefined) {
    return '(hidden)';
  }
  // A URL could contain user and password.
  return JSON.stringify(text.replaceAll(/[^/,]*@/g, '(hidden)@').slice(0, 200));
}

/** `HOST:PORT`, with an IPv6 host in brackets. */
export const addressSchema = z.string().transform((text, context): Address => {
  const address = parseAddress(text);
  if (address) {
    return address;
  }
  context.addIssue('not HOST:PORT');
  return z.NEVER;
});

/** A program and its arguments. */
export const commandLineSchema = z.string().transform((text, context): CommandLine => {
  const command = parseCommandLine(text);
  if (command) {
    return command;
  }
  context.addIssue('not words with their quotes in pairs');
  return z.NEVER;
});

/** One or more items, separated by commas. */
export function listOf<T>(parse: (text: string) => T | undefined, most: number): z.ZodType<T[], string> {
  return z.string().transform((text, context) => {
    const items = text.split(',').map((item) => parse(item.trim()));
    const parsed = items.filter((item) => item !== undefined);
    if (parsed.length === items.length && items.length <= most) {
      return parsed;
    }
    context.addIssue('an item is malformed, or there are too many');
    return z.NEVER;
  });
}

export function wholeNumber(least: number, most: number): z.ZodType<number, string> {
  return z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number)
    .refine((value) => value >= least && value <= most);
}

/** For PEM files, which are read when the process starts and again when they change. */
export const pemRule = 'path of a PEM file';
export const pathSchema = z.string().max(4096);

function parseEndpoint(text: string): string | undefined {
  const address = parseAddress(text.replace(/^https?:\/\//, ''));
  return address && address.port > 0 && !/[/@]/.test(address.host) ? text : undefined;
}

/** The settings of every Holdfast process. `httpListen` has no default here, because each process has its own. */
export const commonSettings = {
  etcd: {
    name: 'HOLDFAST_ETCD',
    flag: '--etcd <endpoints>',
    description: 'etcd members, separated by commas',
    allowed: '1-9 of HOST:PORT, http://HOST:PORT or https://HOST:PORT, separated by commas',
    fallback: '127.0.0.1:2379',
    schema: listOf(parseEndpoint, 9),
  },
  etcdUsername: {
    name: 'HOLDFAST_ETCD_USERNAME',
    flag: '--etcd-username <name>',
    description: 'etcd user, if etcd requires one',
    allowed: 'any text',
    schema: z.string(),
  },
  etcdPassword: {
    name: 'HOLDFAST_ETCD_PASSWORD',
    description: 'password of that user',
    allowed: 'any text',
    schema: z.string(),
  },
  etcdCa: {
    name: 'HOLDFAST_ETCD_CA',
    flag: '--etcd-ca <file>',
    description: "certificates of the authority that signed etcd's; without it Node's built-in authorities",
    allowed: pemRule,
    schema: pathSchema,
  },
  etcdCert: {
    name: 'HOLDFAST_ETCD_CERT',
    flag: '--etcd-cert <file>',
    description: 'client certificate for etcd, if etcd requires one',
    allowed: `${pemRule}, with HOLDFAST_ETCD_KEY`,
    schema: pathSchema,
  },
  etcdKey: {
    name: 'HOLDFAST_ETCD_KEY',
    flag: '--etcd-key <file>',
    description: 'key of that certificate',
    allowed: `${pemRule}, with HOLDFAST_ETCD_CERT`,
    schema: pathSchema,
  },
  etcdTimeoutMs: {
    name: 'HOLDFAST_ETCD_TIMEOUT_MS',
    flag: '--etcd-timeout-ms <ms>',
    description: 'deadline of one call to etcd, ms',
    allowed: '50-60000',
    fallback: '1000',
    schema: wholeNumber(50, 60_000),
  },
  etcdPrefix: {
    name: 'HOLDFAST_ETCD_PREFIX',
    flag: '--etcd-prefix <prefix>',
    description: 'prefix of all etcd keys',
    allowed: "'/' and 1-200 of a-z A-Z 0-9 . _ - and '/', not ending in '/'",
    fallback: '/holdfast/v1',
    schema: z.string().regex(/^\/[\w./-]{0,199}[\w.-]$/),
  },
  httpListen: {
    name: 'HOLDFAST_HTTP_LISTEN',
    flag: '--http <host:port>',
    description: 'address of /metrics, /livez and /readyz; port 0 takes a free one',
    allowed: 'HOST:PORT',
    schema: addressSchema,
  },
  logLevel: {
    name: 'HOLDFAST_LOG_LEVEL',
    flag: '--log-level <level>',
    description: 'least severe level that is logged',
    allowed: logLevels.join(', '),
    fallback: 'info',
    schema: z.enum(logLevels) as z.ZodType<(typeof logLevels)[number], string>,
  },
} as const satisfies Settings;

type CommonConfig = Pick<
  ConfigOf<typeof commonSettings>,
  'etcd' | 'etcdUsername' | 'etcdPassword' | 'etcdCa' | 'etcdCert' | 'etcdKey'
>;

/** What is wrong with the combination of etcd settings that are each valid on their own. */
export function etcdProblems(config: CommonConfig): string[] {
  const { etcd, etcdCa, etcdCert, etcdKey, etcdUsername, etcdPassword } = commonSettings;
  const problems = pairProblems([etcdCert, config.etcdCert], [etcdKey, config.etcdKey]);
  const plain = config.etcd.find((endpoint) => !endpoint.startsWith('https://'));
  const [tls] = [[etcdCa, config.etcdCa] as const, [etcdCert, config.etcdCert] as const].filter(
    ([, path]) => path !== undefined,
  );
  if (tls && plain !== undefined) {
    problems.push(
      `${etcd.name}=${JSON.stringify(plain)}: allowed with ${tls[0].name}: https://HOST:PORT for each member`,
    );
  }
  if (config.etcdPassword !== undefined && config.etcdUsername === undefined) {
    problems.push(`${etcdUsername.name} is not set; ${etcdPassword.name} needs it`);
  }
  return problems;
}

/** A problem if only one of two settings is given that need each other. */
export function pairProblems(...pair: [one: PathOf, other: PathOf]): string[] {
  const given = pair.find(([, path]) => path !== undefined);
  const missing = pair.find(([, path]) => path === undefined);
  return given && missing ? [`${missing[0].name} is not set; ${given[0].name} needs it`] : [];
}

type PathOf = readonly [setting: Setting<string>, path: string | undefined];
