import type { Command } from 'commander';
import type { ListBindingsResponse } from '../../client/index.js';
import { type RemoteOptions, remote, setOption } from '../options.js';
import { counted, json, print, relativeTime } from '../output.js';
import { type Column, table } from '../table.js';
import { terminalOf } from '../terminal.js';

interface BindingsOptions extends RemoteOptions {
  readonly relay: string;
  readonly set: string;
}

export function addTo(program: Command): void {
  remote(program.command('bindings'))
    .summary('the calls that are bound to a relay')
    .description(
      'Lists the bindings of a relay, all as of one moment. With --json, one object per line. Reads the bindings of ' +
        'all relays, so do not run it every second.',
    )
    .requiredOption('--relay <relay>', 'the relay (required)')
    .addOption(setOption('set of the relay'))
    .action(list);
}

const columns: readonly Column<ListBindingsResponse>[] = [
  { heading: 'CALL', cell: ({ callId, viaBranch }) => (viaBranch ? `${callId} ${viaBranch}` : callId) },
  { heading: 'GENERATION', rank: 2, cell: ({ generation }) => String(generation) },
  { heading: 'INSTANCE', rank: 4, cell: ({ instance }) => instance },
  { heading: 'BOUND', rank: 1, cell: ({ createTime }) => relativeTime(createTime) },
  { heading: 'EXPIRES', rank: 3, cell: ({ expireTime }) => relativeTime(expireTime) },
  { heading: '', rank: 1, cell: ({ released }) => (released ? 'released' : '') },
];

async function list({ relay, set, json: asJson, withClient }: BindingsOptions): Promise<void> {
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
