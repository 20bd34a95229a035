import type { Command } from 'commander';
import { type RemoteOptions, remote, setOption } from '../options.js';
import { counted, json, print, relativeTime, table } from '../output.js';

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
    .requiredOption('--relay <id>', 'the relay (required)')
    .addOption(setOption('set of the relay'))
    .action(list);
}

async function list({ relay, set, json: asJson, withClient }: BindingsOptions): Promise<void> {
  const rows: string[][] = [];
  await withClient(async (client) => {
    for await (const binding of client.listBindings(set, relay)) {
      const { callId, viaBranch, instance, generation, createTime, expireTime, released } = binding;
      if (asJson) {
        const times = { createdAt: createTime, expiresAt: expireTime };
        print(json({ callId, viaBranch: viaBranch || undefined, instance, generation, ...times, released }));
      } else {
        rows.push([
          viaBranch ? `${callId} ${viaBranch}` : callId,
          String(generation),
          instance,
          relativeTime(createTime),
          relativeTime(expireTime),
          released ? 'released' : '',
        ]);
      }
    }
  });
  if (asJson) {
    return;
  }
  if (rows.length > 0) {
    print(table(['CALL', 'GENERATION', 'INSTANCE', 'BOUND', 'EXPIRES', ''], rows));
  }
  print(`${counted(rows.length, 'binding')} on ${set}/${relay}`);
}
