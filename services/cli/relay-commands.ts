import type { Command } from 'commander';
import {
  WatchRelaysResponse_Type as Change,
  type Relay,
  RelayState,
} from '../../proto/generated/holdfast/v1/relay.js';
import type { HoldfastClient } from './client.js';
import { CommandError, exits } from './exit.js';
import { type RemoteOptions, remote, wholeOption } from './options.js';
import { json, print, relativeTime, table } from './output.js';
import { relayHeader, relayRow, relayShape } from './shapes.js';

/** `relays`, `drain`, `resume`, `weight`, `bindings`: what operators do with relays. */
export function addRelayCommands(program: Command): void {
  remote(program.command('relays'))
    .summary('the registered relays')
    .description('Lists the relays. With --watch, goes on with every change until interrupted.')
    .option('--set <name>', 'only this set', '')
    .option('--watch', 'go on with every change', false)
    .action((options: { set: string; watch: boolean } & RemoteOptions) =>
      options.ask((client) => (options.watch ? watch(client, options) : list(client, options))),
    );

  remote(program.command('drain <relay>'))
    .summary('take a relay out for new calls; its calls go on')
    .description('The relay keeps the calls it has. With --wait, returns when the last one has ended.')
    .option('--set <name>', 'set of the relay', 'default')
    .option('--reason <text>', 'why, shown to other operators', '')
    .option('--wait', 'return when its last call has ended, and print progress', false)
    .action((relayId: string, options: { set: string; reason: string; wait: boolean } & RemoteOptions) =>
      options.ask(async (client) => {
        const { set, reason } = options;
        await setIntent(client, { relayId, set, reason, state: RelayState.DRAINING }, options);
        if (options.wait) await waitUntilIdle(client, relayId, options);
      }),
    );

  remote(program.command('resume <relay>'))
    .summary('take a drained or disabled relay back in')
    .description(
      "Removes what operators wanted of the relay: it is active again, with its own weight or --weight's.",
    )
    .option('--set <name>', 'set of the relay', 'default')
    .option('--weight <number>', "replaces the relay's own weight, 0-10000", wholeOption)
    .action((relayId: string, options: { set: string; weight?: number } & RemoteOptions) =>
      options.ask((client) => {
        const { set, weight } = options;
        return setIntent(client, { relayId, set, reason: '', weight, state: RelayState.ACTIVE }, options);
      }),
    );

  remote(program.command('bindings'))
    .summary('the calls that are bound to a relay')
    .requiredOption('--relay <id>', 'the relay')
    .option('--set <name>', 'set of the relay', 'default')
    .action((options: { relay: string; set: string } & RemoteOptions) =>
      options.ask((client) => bindings(client, options)),
    );
}

async function list(
  client: HoldfastClient,
  { set, json: asJson }: { set: string; json: boolean },
): Promise<void> {
  const { relays, fresh } = await client.listRelays(set);
  if (asJson) return print(json({ fresh, relays: relays.map(relayShape) }));
  print(relays.length > 0 ? table(relayHeader, relays.map(relayRow)) : 'no relay is registered');
  if (!fresh) print('(this replica cannot hear etcd: the list is the last one known)');
}

const words: Partial<Record<Change, string>> = {
  [Change.SNAPSHOT]: 'is',
  [Change.JOINED]: 'joined',
  [Change.CHANGED]: 'changed',
  [Change.LEFT]: 'left',
};

async function watch(
  client: HoldfastClient,
  { set, json: asJson }: { set: string; json: boolean },
): Promise<void> {
  const shown = new Map<string, string>();
  for await (const { type, relay } of client.watchRelays(set)) {
    if (asJson) print(json({ event: Change[type].toLowerCase(), relay: relay && relayShape(relay) }));
    else if (relay) {
      const line = summary(relay);
      const name = `${relay.set}/${relay.id}`;
      // Load reports repeat what they said: people want to see what is new.
      if (type === Change.CHANGED && shown.get(name) === line) continue;
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
    readonly reason: string;
    readonly state: RelayState;
    readonly weight?: number | undefined;
  },
  { json: asJson }: { json: boolean },
): Promise<void> {
  const { weight, ...rest } = request;
  const actor = (process.env.USER ?? '').slice(0, 64);
  const { registered } = await client.setIntent({
    ...rest,
    actor,
    ...(weight === undefined ? {} : { weight }),
  });
  const state = RelayState[request.state].toLowerCase();
  if (asJson) return print(json({ set: request.set, relay: request.relayId, state, weight, registered }));
  const note = registered ? '' : ' (no such relay is registered now; it will hold when it comes)';
  print(
    `${request.set}/${request.relayId} is ${state}${weight === undefined ? '' : `, weight ${weight}`}${note}`,
  );
}

/** Returns when the relay carries no call and has no binding that was not released, or is gone. */
async function waitUntilIdle(
  client: HoldfastClient,
  relayId: string,
  { set, json: asJson }: { set: string; json: boolean },
): Promise<void> {
  let told = '';
  for (;;) {
    const { relays } = await client.listRelays(set);
    const relay = relays.find(({ id }) => id === relayId);
    let bound = 0;
    for await (const binding of client.listBindings(set, relayId)) if (!binding.released) bound++;
    const calls = relay?.load?.calls ?? 0;
    const line = asJson
      ? json({ relay: relayId, registered: relay !== undefined, calls, bindings: bound })
      : `${relayId}: ${relay ? `${calls} calls` : 'not registered'}, ${bound} bindings`;
    if (line !== told) print(line);
    told = line;
    if (!relay || (calls === 0 && bound === 0)) return;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}

async function bindings(
  client: HoldfastClient,
  { relay, set, json: asJson }: { relay: string; set: string; json: boolean },
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
  if (asJson) return;
  print(table(['CALL', 'GENERATION', 'INSTANCE', 'BOUND', 'EXPIRES', ''], rows));
  print(`${rows.length} bindings on ${set}/${relay}`);
}
