import { type Command, InvalidArgumentError, Option } from 'commander';
import { credentials, HoldfastClient } from '../client/index.js';
import { defaultSet } from '../domain/name.js';
import { parseAddress } from '../runtime/address.js';
import { explain, timeoutMs } from './explain.js';
import { readTrust, type TrustOptions } from './trust.js';

const defaultServer = '127.0.0.1:7400';
const maxServers = 9;

/** Options of every command that asks a replica. */
export interface RemoteOptions {
  readonly json?: true;
  /** Runs a task with a client, which is closed afterwards. @throws CommandError */
  readonly withClient: <T>(task: (client: HoldfastClient) => Promise<T>) => Promise<T>;
  /** The same with a client of its own for each replica that is named. */
  readonly withClients: <T>(task: (clients: readonly HoldfastClient[]) => Promise<T>) => Promise<T>;
}

/** Gives a command the options that name a replica, and its action a client. */
export function remote(command: Command): Command {
  return withServers(command, 'replica to ask; of several, separated by commas, the first that answers');
}

/** The same for a command that asks all replicas that are named. */
export function remoteAll(command: Command): Command {
  return withServers(command, 'replicas to ask, separated by commas');
}

function withServers(command: Command, described: string): Command {
  return command
    .addOption(
      new Option('--server <host:port>', described)
        .env('HOLDFAST_SERVER')
        .default([defaultServer], defaultServer)
        .argParser(serversOption),
    )
    .addOption(
      new Option('--ca <file>', "authority that signed the replica's certificate; turns TLS on").env(
        'HOLDFAST_CA',
      ),
    )
    .addOption(
      new Option('--cert <file>', 'certificate to present, if the replica requires one').env('HOLDFAST_CERT'),
    )
    .addOption(new Option('--key <file>', 'key of that certificate').env('HOLDFAST_KEY'))
    .option('--json', 'print JSON, for programs')
    .hook('preAction', (_, action) => {
      const { server, ...paths } = action.opts<{ server: string[] } & TrustOptions>();
      const using = async <T>(
        groups: readonly (readonly string[])[],
        task: (clients: readonly HoldfastClient[]) => Promise<T>,
      ): Promise<T> => {
        const trust = await readTrust(paths);
        const clients = groups.map(
          (servers) =>
            new HoldfastClient(servers, {
              ...(trust && { credentials: credentials.createSsl(trust.ca, trust.key, trust.cert) }),
              attemptTimeoutMs: timeoutMs,
              // A connection may be lost once for no lasting reason.
              attempts: servers.length + 1,
            }),
        );
        try {
          return await task(clients);
        } catch (error) {
          throw await explain(error, trust);
        } finally {
          for (const client of clients) {
            client.close();
          }
        }
      };
      action.setOptionValue('withClient', (task: (client: HoldfastClient) => Promise<unknown>) =>
        using([server], ([client]) => task(client as HoldfastClient)),
      );
      action.setOptionValue('withClients', (task: (clients: readonly HoldfastClient[]) => Promise<unknown>) =>
        using(
          server.map((each) => [each]),
          task,
        ),
      );
    });
}

/** Options of commands that let a relay be chosen. */
export interface ConstraintOptions {
  readonly exclude?: string[];
  readonly zone?: string;
  readonly label?: Record<string, string>;
}

export function withConstraints(command: Command): Command {
  return command
    .option('--exclude <relay>', 'a relay not to choose (repeatable)', collect)
    .option('--zone <zone>', 'prefer relays in this zone')
    .option('--label <name=value>', 'choose only relays with this label (repeatable)', pairOption);
}

export function constraintsOf({ exclude, zone, label }: ConstraintOptions) {
  return { excludedRelayIds: exclude, zone, labels: label };
}

/** `--set`, for commands that concern one relay set. */
export function setOption(description: string): Option {
  return new Option('--set <name>', description).default(defaultSet, defaultSet);
}

/** `--set`, for commands that concern one call. */
export function callSetOption(): Option {
  return new Option('--set <name>', `relay set; by default the one that has the call, else ${defaultSet}`);
}

/** An option that takes a whole number. */
export function wholeOption(least: number, most: number): (value: string) => number {
  return (value) => {
    const number = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
    if (number >= least && number <= most) {
      return number;
    }
    throw new InvalidArgumentError(`allowed: ${least}-${most}`);
  };
}

/** An option that takes a duration, in whole seconds: `90`, `90s`, `10m`, `24h`. */
export function durationOption(mostSeconds: number): (value: string) => number {
  return (value) => {
    const [, number = '', unit = 's'] = /^(\d{1,9})([smhd])?$/.exec(value) ?? [];
    const seconds = number === '' ? Number.NaN : Number(number) * (secondsOf[unit] ?? 1);
    if (seconds <= mostSeconds) {
      return seconds;
    }
    throw new InvalidArgumentError(`allowed: at most ${mostSeconds} s, as 90s, 10m or 24h`);
  };
}

const secondsOf: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}

function pairOption(value: string, previous: Record<string, string> = {}): Record<string, string> {
  const at = value.indexOf('=');
  if (at < 1) {
    throw new InvalidArgumentError('allowed: NAME=VALUE');
  }
  return { ...previous, [value.slice(0, at)]: value.slice(at + 1) };
}

function serversOption(value: string): string[] {
  const servers = value.split(',');
  const isServer = (server: string) => (parseAddress(server)?.port ?? 0) > 0;
  if (servers.length <= maxServers && servers.every(isServer)) {
    return servers;
  }
  throw new InvalidArgumentError(`allowed: 1-${maxServers} of HOST:PORT, separated by commas`);
}
