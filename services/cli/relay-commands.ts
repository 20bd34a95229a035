import type { Command } from 'commander';
import {
  WatchRelaysResponse_Type as Change,
  type Relay,
  RelayState,
} from '../../proto/generated/holdfast/v1/relay.js';
import { maxWeight } from '../domain/relay.js';
import type { HoldfastClient } from './client.js';
import { CommandError, exits } from './exit.js';
import { type RemoteOptions, remote, setOption, wholeOption } from './options.js';
import { counted, json, print, relativeTime, table } from './output.js';
import { relayHeader, relayRow, relayShape } from './shapes.js';

const pollMs = 500;

/** `relays`, `drain`, `resume`, `bindings`: what operators do with relays. */
export function addRelayCommands(program: Command): void {
  remote(program.command('relays'))
    .summary('the registered relays')
    .description('Lists the relays. With --watch, goes on with every change until interrupted.')
    .option('--set <name>', 'only this set')
    .option('--watch', 'go on with every change')
    .action((options: { set?: string; watch?: true } & RemoteOptions) =>
      options.ask((client) => (options.watch ? watch(client, options) : list(client, options))),
    );

  remote(program.command('drain <relay>'))
    .summary('take a relay out for new calls; its calls go on')
    .description(
      'Gives the relay no new calls; it keeps the calls it has, until holdfast resume. With --wait, returns when ' +
        'the last of them has ended.',
    )
    .addOption(setOption('set of the relay'))
    .option('--reason <text>', 'why, shown to other operators')
    .option('--wait', 'return when its last call has ended, and print progress')
    .action((relayId: string, options: { set: string; reason?: string; wait?: true } & RemoteOptions) =>
      options.ask(async (client) => {
        const { set, reason } = options;
        await setIntent(client, { relayId, set, reason, state: RelayState.DRAINING }, options);
        if (options.wait) {
          await waitUntilIdle(client, { relayId, ...options });
        }
      }),
    );

  remote(program.command('resume <relay>'))
    .summary('take a drained or disabled relay back in')
    .description(
      "Removes what operators wanted of the relay: it is active again, with its own weight or --weight's.",
    )
    .addOption(setOption('set of the relay'))
    .option('--weight <number>', `replaces the relay's own weight, 0-${maxWeight}`, wholeOption(0, maxWeight))
    .action((relayId: string, options: { set: string; weight?: number } & RemoteOptions) =>
      options.ask((client) => {
        const { set, weight } = options;
        return setIntent(client, { relayId, set, weight, state: RelayState.ACTIVE }, options);
      }),
    );

  remote(program.command('bindings'))
    .summary('the calls that are bound to a relay')
    .description(
      'Lists the bindings of a relay, as they stand at one moment. With --json, one object per line. Reads all ' +
        'bindings of all relays: not for every second.',
    )
    .requiredOption('--relay <id>', 'the relay (required)')
    .addOption(setOption('set of the relay'))
    .action((options: { relay: string; set: string } & RemoteOptions) =>
      options.ask((client) => bindings(client, options)),
    );
}

async function list(
  client: HoldfastClient,
  { set = '', json: asJson }: { set?: string; json?: true },
): Promise<void> {
  const { relays, fresh } = await client.listRelays(set);
  if (asJson) {
    return print(json({ fresh, relays: relays.map(relayShape) }));
  }
  const none = `no relay is registered${set && ` in set ${set}`}`;
  print(relays.length > 0 ? table(relayHeader, relays.map(relayRow)) : none);
  if (!fresh) {
    print('(this replica cannot hear etcd: the list is the last one known)');
  }
}

const words: Partial<Record<Change, string>> = {
  [Change.SNAPSHOT]: 'is',
  [Change.JOINED]: 'joined',
  [Change.CHANGED]: 'changed',
  [Change.LEFT]: 'left',
};

async function watch(
  client: HoldfastClient,
  { set = '', json: asJson }: { set?: string; json?: true },
): Promise<void> {
  const shown = new Map<string, string>();
  for await (const { type, relay } of client.watchRelays(set)) {
    if (asJson) {
      print(json({ event: Change[type].toLowerCase(), relay: relay && relayShape(relay) }));
    } else if (type === Change.SYNCED) {
      print(`(${counted(shown.size, 'relay')}; changes from now on, until Ctrl-C)`);
    } else if (relay) {
      const line = summary(relay);
      const name = `${relay.set}/${relay.id}`;
      // Load reports repeat what they said: people want to see what is new.
      if (type === Change.CHANGED && shown.get(name) === line) {
        continue;
      }
      shown.set(name, line);
      print(`${new Date().toISOString()}  ${(words[type] ?? '').padEnd(8)} ${line}`);
    }
  }
  throw new CommandError('the replica ended the watch', exits.unavailable);
}

function summary(relay: Relay): string {
  const { set, id, state, weight, calls, controlUrl, instance } = relayShape(relay);
  return `${set}/${id}  ${state}  weight ${weight}  calls ${calls ?? '?'}  ${controlUrl}  ${instance}`;
}

async function setIntent(
  client: HoldfastClient,
  request: {
    readonly relayId: string;
    readonly set: string;
    readonly reason?: string | undefined;
    readonly state: RelayState;
    readonly weight?: number | undefined;
  },
  { json: asJson }: { json?: true },
): Promise<void> {
  const { weight } = request;
  const actor = (process.env.USER ?? '').slice(0, 64);
  const { registered } = await client.setIntent({ ...request, actor });
  const state = RelayState[request.state].toLowerCase();
  if (asJson) {
    return print(json({ set: request.set, relay: request.relayId, state, weight, registered }));
  }
  const name = `${request.set}/${request.relayId}`;
  const how = `${state}${weight === undefined ? '' : `, weight ${weight}`}`;
  print(registered ? `${name} is ${how}` : `${name} is not registered now; when it comes it will be ${how}`);
}

/**
 * Returns when the relay is gone, or has said twice since it was drained that it carries no call: one report may be
 * from before the offer of the last call that was bound to it. Bindings do not count: proxies need not release.
 */
async function waitUntilIdle(
  client: HoldfastClient,
  { relayId, set, json: asJson }: { relayId: string; set: string; json?: true },
): Promise<void> {
  let told = '';
  let heardMs: number | undefined;
  for (let idle = 0; ; ) {
    const { relays } = await client.listRelays(set);
    const relay = relays.find(({ id }) => id === relayId);
    const calls = relay?.load?.calls;
    const line = asJson
      ? json({ set, relay: relayId, registered: relay !== undefined, calls })
      : `${set}/${relayId} ${relay ? `carries ${counted(calls, 'call')}` : 'is not registered'}`;
    if (line !== told) {
      print(line);
    }
    told = line;
    if (!relay) {
      return;
    }
    const reportMs = relay.load?.reportTime?.getTime();
    if (calls !== 0) {
      idle = 0;
    } else if (heardMs !== undefined && reportMs !== heardMs && ++idle === 2) {
      return;
    }
    heardMs = reportMs;
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

async function bindings(
  client: HoldfastClient,
  { relay, set, json: asJson }: { relay: string; set: string; json?: true },
): Promise<void> {
  const rows: string[][] = [];
  for await (const binding of client.listBindings(set, relay)) {
    const { callId, viaBranch, instance, generation, createTime, expireTime, released } = binding;
    if (asJson) {
      print(
        json({
          callId,
          viaBranch: viaBranch || undefined,
          instance,
          generation,
          createdAt: createTime,
          expiresAt: expireTime,
          released,
        }),
      );
      continue;
    }
    const name = viaBranch ? `${callId} ${viaBranch}` : callId;
    rows.push([
      name,
      String(generation),
      instance,
      relativeTime(createTime),
      relativeTime(expireTime),
      released ? 'released' : '',
    ]);
  }
  if (asJson) {
    return;
  }
  if (rows.length > 0) {
    print(table(['CALL', 'GENERATION', 'INSTANCE', 'BOUND', 'EXPIRES', ''], rows));
  }
  print(`${counted(rows.length, 'binding')} on ${set}/${relay}`);
}
