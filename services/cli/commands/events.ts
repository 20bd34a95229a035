import { type Command, Option } from 'commander';
import type { Event, HoldfastClient } from '../../client/index.js';
import { CommandError, exits } from '../exit.js';
import { durationOption, type RemoteOptions, remote } from '../options.js';
import { json, print } from '../output.js';
import { eventShape } from '../shapes.js';
import { printable, type Style, styled, terminalOf } from '../terminal.js';

interface EventsOptions extends RemoteOptions {
  readonly since: number;
  readonly follow?: boolean;
}

const maxSinceSeconds = 86_400;

export function addTo(program: Command): void {
  remote(program.command('events'))
    .summary('what happened: relays, calls that moved or were refused, etcd')
    .description(
      'Lists what a replica has seen happen, oldest first: relays that joined, left, were drained or restarted, calls that ' +
        'moved, were adopted or refused, etcd lost and back. Calls that share a cause are one line with their ' +
        'number. Each replica keeps the last 24 h, and starts over when it restarts.',
    )
    .addOption(
      new Option('--since <duration>', 'how far back, as 90s, 10m or 24h')
        .default(600, '10m')
        .argParser(durationOption(maxSinceSeconds)),
    )
    .option('--follow', 'keep printing what happens, until interrupted')
    .action((options: EventsOptions) => options.withClient((client) => list(client, options)));
}

async function list(
  client: HoldfastClient,
  { since: sinceSeconds, follow, json: asJson }: EventsOptions,
): Promise<void> {
  for await (const { event, missed } of client.watchEvents({ sinceSeconds, follow })) {
    if (asJson) {
      print(json(event ? eventShape(event) : { missed }));
    } else {
      print(event ? line(event) : `(${missed} events are not kept any more)`);
    }
  }
  if (follow) {
    throw new CommandError('the replica ended the stream', exits.unavailable);
  }
}

const styles: Readonly<Record<string, Style>> = { warning: 'yellow', critical: 'red' };

function line(event: Event): string {
  const { at = '', type, severity, text } = eventShape(event);
  const mark = { warning: '!', critical: '!!' }[severity] ?? '';
  const shown = `${mark.padEnd(3)}${type.padEnd(16)} ${printable(text)}`;
  return `${at}  ${styled(shown, styles[severity], terminalOf(process.stdout))}`;
}
