import { setTimeout } from 'node:timers/promises';
import type { Command } from 'commander';
import { type HoldfastClient, HoldfastRpcError, type Relay, RelayEvent } from '../../client/index.js';
import { CommandError, exits } from '../exit.js';
import { type RemoteOptions, remote } from '../options.js';
import { counted, json, print } from '../output.js';
import { RelayScreen } from '../relay-screen.js';
import { goneTable, intentTable, relayTable } from '../relay-table.js';
import { goneShape, intentShape, relayShape } from '../shapes.js';
import { terminalOf } from '../terminal.js';

interface RelaysOptions extends RemoteOptions {
  readonly set?: string;
  readonly watch?: true;
}

/** Between two watches, ms: a terminal is left open for days. */
const retryMs = 1000;

export function addTo(program: Command): void {
  remote(program.command('relays'))
    .summary('the registered relays')
    .description(
      'Lists the registered relays, what operators have set for others, and relays that have left. A terminal gets the ' +
        'columns that fit, in color unless NO_COLOR is set; a file or a pipe gets all columns. With --watch, a terminal ' +
        'is redrawn as relays change, and a pipe gets a line for each change, until interrupted.',
    )
    .option('--set <name>', 'only this set')
    .option('--watch', 'show changes as they happen')
    .action((options: RelaysOptions) => options.withClient((client) => run(client, options)));
}

function run(client: HoldfastClient, options: RelaysOptions): Promise<void> {
  if (!options.watch) {
    return list(client, options);
  }
  return process.stdout.isTTY && !options.json ? draw(client, options) : watch(client, options);
}

async function list(client: HoldfastClient, { set = '', json: asJson }: RelaysOptions): Promise<void> {
  const { relays, fresh, absent, gone } = await client.listRelays(set);
  if (asJson) {
    const shown = {
      relays: relays.map(relayShape),
      absent: absent.map(intentShape),
      gone: gone.map(goneShape),
    };
    return print(json({ fresh, ...shown }));
  }
  const terminal = terminalOf(process.stdout);
  const none = `no relay is registered${set && ` in set ${set}`}`;
  const lines = relays.length > 0 ? relayTable(relays, terminal) : [none];
  if (absent.length > 0) {
    lines.push('', 'not registered, but drained, disabled or weighted:', ...intentTable(absent, terminal));
  }
  if (gone.length > 0) {
    lines.push('', 'left within the last 24 h, as this replica has seen it:', ...goneTable(gone, terminal));
  }
  if (!fresh) {
    lines.push('(this replica gets no updates from etcd: the list is the last one known)');
  }
  print(lines.join('\n'));
}

async function draw(client: HoldfastClient, { set = '' }: RelaysOptions): Promise<void> {
  const screen = new RelayScreen(process.stdout);
  screen.start();
  try {
    for (;;) {
      screen.lost(await watchOnce(client, set, screen));
      await setTimeout(retryMs);
    }
  } finally {
    screen.stop();
  }
}

/** @returns why the watch has ended @throws HoldfastRpcError if it has never had all relays */
async function watchOnce(client: HoldfastClient, set: string, screen: RelayScreen): Promise<string> {
  try {
    for await (const event of client.watchRelays(set)) {
      screen.show(event);
    }
    return 'the replica ended the watch';
  } catch (error) {
    if (!(error instanceof HoldfastRpcError) || !screen.hasSynced) {
      throw error;
    }
    return error.message;
  }
}

const words: Partial<Record<RelayEvent, string>> = {
  [RelayEvent.SNAPSHOT]: 'is',
  [RelayEvent.JOINED]: 'joined',
  [RelayEvent.CHANGED]: 'changed',
  [RelayEvent.LEFT]: 'left',
};

async function watch(client: HoldfastClient, { set = '', json: asJson }: RelaysOptions): Promise<void> {
  const shown = new Map<string, string>();
  for await (const { type, relay } of client.watchRelays(set)) {
    if (asJson) {
      print(json({ event: RelayEvent[type].toLowerCase(), relay: relay && relayShape(relay) }));
    } else if (type === RelayEvent.SYNCED) {
      print(`(${counted(shown.size, 'relay')}; changes follow, until Ctrl-C)`);
    } else if (relay) {
      const line = summary(relay);
      const name = `${relay.set}/${relay.id}`;
      // Most load reports change nothing that is shown.
      if (type === RelayEvent.CHANGED && shown.get(name) === line) {
        continue;
      }
      if (type === RelayEvent.LEFT) {
        shown.delete(name);
      } else {
        shown.set(name, line);
      }
      print(`${new Date().toISOString()}  ${(words[type] ?? '').padEnd(8)} ${line}`);
    }
  }
  throw new CommandError('the replica ended the watch', exits.unavailable);
}

function summary(relay: Relay): string {
  const { set, id, state, weight, calls, controlUrl, instance } = relayShape(relay);
  return `${set}/${id}  ${state}  weight ${weight}  calls ${calls ?? '?'}  ${controlUrl}  ${instance}`;
}
