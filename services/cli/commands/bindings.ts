import type { Command } from 'commander';
import type { ListBindingsResponse, RelayBindings } from '../../client/index.js';
import { defaultSet } from '../../domain/name.js';
import { type RemoteOptions, remote } from '../options.js';
import { counted, json, print, relativeTime } from '../output.js';
import { type Column, table } from '../table.js';
import { terminalOf } from '../terminal.js';

interface BindingsOptions extends RemoteOptions {
  readonly relay?: string;
  readonly set?: string;
}

export function addTo(program: Command): void {
  remote(program.command('bindings'))
    .summary('how many calls are bound to each relay, or which to one')
    .description(
      'Tells how many bindings of each relay the replica remembers; that reads nothing from etcd. With --relay, lists ' +
        'the bindings of that relay, all as of one moment, with --json one object per line: this reads the bindings of ' +
        'all relays, so do not run it every second.',
    )
    .option('--relay <relay>', 'list the bindings of this relay')
    .option('--set <name>', `only this set; with --relay, the set of the relay (default: ${defaultSet})`)
    .action((options: BindingsOptions) => (options.relay === undefined ? count(options) : list(options)));
}

const columns: readonly Column<ListBindingsResponse>[] = [
  { heading: 'CALL', cell: ({ callId, viaBranch }) => (viaBranch ? `${callId} ${viaBranch}` : callId) },
  { heading: 'GENERATION', rank: 2, cell: ({ generation }) => String(generation) },
  { heading: 'INSTANCE', rank: 4, cell: ({ instance }) => instance },
  { heading: 'BOUND', rank: 1, cell: ({ createTime }) => relativeTime(createTime) },
  { heading: 'EXPIRES', rank: 3, cell: ({ expireTime }) => relativeTime(expireTime) },
  { heading: '', rank: 1, cell: ({ released }) => (released ? 'released' : '') },
];

const countColumns: readonly Column<RelayBindings>[] = [
  { heading: 'SET', cell: ({ set }) => set },
  { heading: 'RELAY', cell: ({ relayId }) => relayId },
  { heading: 'BINDINGS', cell: ({ bindings }) => String(bindings) },
];

async function count({ set, json: asJson, withClient }: BindingsOptions): Promise<void> {
  const { relayBindings } = await withClient((client) => client.getStatus());
  const rows = relayBindings.filter((each) => set === undefined || each.set === set);
  if (asJson) {
    return print(json(rows.map(({ relayId: relay, ...counted }) => ({ relay, ...counted }))));
  }
  if (rows.length > 0) {
    print(table(countColumns, rows, terminalOf(process.stdout)).join('\n'));
  }
  const sum = rows.reduce((total, { bindings }) => total + Number(bindings), 0);
  print(`${counted(sum, 'binding')}, as far as this replica remembers`);
}

async function list({
  relay = '',
  set = defaultSet,
  json: asJson,
  withClient,
}: BindingsOptions): Promise<void> {
  const rows: ListBindingsResponse[] = [];
  await withClient(async (client) => {
    for await (const binding of client.listBindings(set, relay)) {
      if (asJson) {
        const { callId, viaBranch, instance, generation, createTime, expireTime, released } = binding;
        const times = { createdAt: createTime, expiresAt: expireTime };
        print(json({ callId, viaBranch: viaBranch || undefined, instance, generation, ...times, released }));
      } else {
        rows.push(binding);
      }
    }
  });
  if (asJson) {
    return;
  }
  if (rows.length > 0) {
    print(table(columns, rows, terminalOf(process.stdout)).join('\n'));
  }
  print(`${counted(rows.length, 'binding')} on ${set}/${relay}`);
}
