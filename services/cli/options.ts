import { type Command, InvalidArgumentError, Option } from 'commander';
import { defaultSet } from '../domain/name.js';
import { parseAddress } from '../runtime/address.js';
import { HoldfastClient } from './client.js';
import { readTrust, type TrustOptions } from './trust.js';

export const defaultServer = '127.0.0.1:7400';

/** What every command that asks a replica has. */
export interface RemoteOptions {
  readonly json?: true;
  /** Runs the question with a client that is closed afterwards. */
  readonly ask: <T>(question: (client: HoldfastClient) => Promise<T>) => Promise<T>;
}

/** Gives a command `--server` and `--json`, and its action a way to ask. */
export function remote(command: Command): Command {
  return command
    .addOption(
      new Option('--server <host:port>', 'replica to ask')
        .env('HOLDFAST_SERVER')
        .default(defaultServer, defaultServer)
        .argParser(serverOption),
    )
    .addOption(
      new Option('--ca <file>', "authority that signed the replica's certificate: asks over TLS").env(
        'HOLDFAST_CA',
      ),
    )
    .addOption(
      new Option('--cert <file>', 'certificate to show, where the replica asks for one').env('HOLDFAST_CERT'),
    )
    .addOption(new Option('--key <file>', 'key of that certificate').env('HOLDFAST_KEY'))
    .option('--json', 'print JSON, for programs')
    .hook('preAction', (_, action) => {
      action.setOptionValue('ask', async <T>(question: (client: HoldfastClient) => Promise<T>) => {
        const { server, ...paths } = action.opts<{ server: string } & TrustOptions>();
        const client = new HoldfastClient(server, await readTrust(paths));
        try {
          return await question(client);
        } finally {
          client.close();
        }
      });
    });
}

/** `--set`, for commands that concern one relay set. */
export function setOption(description: string): Option {
  return new Option('--set <name>', description).default(defaultSet, defaultSet);
}

/** For repeatable options. */
export function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}

export function pairOption(value: string, previous: Record<string, string> = {}): Record<string, string> {
  const at = value.indexOf('=');
  if (at < 1) {
    throw new InvalidArgumentError('allowed: NAME=VALUE');
  }
  return { ...previous, [value.slice(0, at)]: value.slice(at + 1) };
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

function serverOption(value: string): string {
  const address = parseAddress(value);
  if (address && address.port > 0) {
    return value;
  }
  throw new InvalidArgumentError('allowed: HOST:PORT');
}
