import { type Command, InvalidArgumentError, Option } from 'commander';
import { HoldfastClient } from './client.js';

export const defaultServer = '127.0.0.1:7400';

/** What every command that asks a replica has. */
export interface RemoteOptions {
  readonly json: boolean;
  /** Runs the question with a client that is closed afterwards. */
  readonly ask: <T>(question: (client: HoldfastClient) => Promise<T>) => Promise<T>;
}

/** Gives a command `--server` and `--json`, and its action a way to ask. */
export function remote(command: Command): Command {
  return command
    .addOption(
      new Option('--server <host:port>', 'replica to ask').env('HOLDFAST_SERVER').default(defaultServer),
    )
    .option('--json', 'print JSON, for programs', false)
    .hook('preAction', (_, action) => {
      action.setOptionValue('ask', async <T>(question: (client: HoldfastClient) => Promise<T>) => {
        const client = new HoldfastClient(action.opts<{ server: string }>().server);
        try {
          return await question(client);
        } finally {
          client.close();
        }
      });
    });
}

/** For repeatable options. */
export function collect(value: string, previous: string[]): string[] {
  return [...previous, value];
}

export function pairOption(value: string, previous: Record<string, string>): Record<string, string> {
  const at = value.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('allowed: NAME=VALUE');
  return { ...previous, [value.slice(0, at)]: value.slice(at + 1) };
}

export function wholeOption(value: string): number {
  if (!/^\d{1,15}$/.test(value)) throw new InvalidArgumentError('allowed: a whole number, 0 or more');
  return Number(value);
}
