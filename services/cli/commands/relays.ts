import type { Command } from 'commander';
import { type HoldfastClient, type Relay, RelayEvent } from '../../client/index.js';
import { CommandError, exits } from '../exit.js';
import { type RemoteOptions, remote } from '../options.js';
import { counted, json, print, table } from '../output.js';
import { intentHeader, intentRow, intentShape, relayHeader, relayRow, relayShape } from '../shapes.js';

interface RelaysOptions extends RemoteOptions {
  readonly set?: string;
  readonly watch?: true;
}

export function addTo(program: Command): void {
  remote(program.command('relays'))
    .summary('the registered relays')
    .description(
      'Lists the registered relays, and what operators want of others. With --watch, also prints every change until interrupted.',
    )
    .option('--set <name>', 'only this set')
    .option('--watch', 'keep printing changes')
    .action((options: RelaysOptions) =>
      options.withClient((client) => (options.watch ? watch(client, options) : list(client, options))),
    );
}

async function list(client: HoldfastClient, { set = '', json: asJson }: RelaysOptions): Promise<void> {
  const { relays, fresh, absent } = await client.listRelays(set);
  if (asJson) {
    return print(json({ fresh, relays: relays.map(relayShape), absent: absent.map(intentShape) }));
  }
  const none = `no relay is registered${set && ` in set ${set}`}`;
  print(relays.length > 0 ? table(relayHeader, relays.map(relayRow)) : none);
  if (absent.length > 0) {
    print(
      `\nnot registered, but drained, disabled or weighted:\n${table(intentHeader, absent.map(intentRow))}`,
    );
  }
  if (!fresh) {
    print('(this replica gets no updates from etcd: the list is the last one known)');
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
