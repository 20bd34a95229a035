import type { Command } from 'commander';
import { maxTtlSeconds, minTtlSeconds } from '../domain/binding.js';
import { collect, pairOption, type RemoteOptions, remote, setOption, wholeOption } from './options.js';
import { json, print } from './output.js';
import { type Answered, bindingRows, bindingShape } from './shapes.js';

interface WishOptions {
  readonly exclude?: string[];
  readonly zone?: string;
  readonly label?: Record<string, string>;
}

/** `select`, `lookup`, `move`, `release`: what SIP proxies ask, by hand. */
export function addCallCommands(program: Command): void {
  const withWish = (command: Command) =>
    command
      .option('--exclude <relay>', 'a relay not to choose (repeatable)', collect)
      .option('--zone <zone>', 'prefer relays in this zone')
      .option('--label <name=value>', 'choose only relays with this label (repeatable)', pairOption);

  withWish(remote(program.command('select <call-id>')))
    .summary('the relay of a call: bound before, or bound now')
    .description('Asks for the relay of a call, as a SIP proxy does for every INVITE, re-INVITE and BYE.')
    .addOption(setOption('relay set to choose from'))
    .option('--branch <via-branch>', 'bind this branch of a forked call by itself')
    .option(
      '--ttl <seconds>',
      `how long the binding lives at least after this use, ${minTtlSeconds}-${maxTtlSeconds} (default: as the service is configured)`,
      wholeOption(minTtlSeconds, maxTtlSeconds),
    )
    .option('--request-id <id>', 'names this request, so that a retry is known as one')
    .action(async (callId: string, options: SelectOptions & RemoteOptions) => {
      const { set, branch, ttl, requestId } = options;
      const request = { callId, set, viaBranch: branch, ttlSeconds: ttl, requestId };
      await options.ask(async (client) =>
        show(await client.select({ ...request, ...wishOf(options) }), options),
      );
    });

  remote(program.command('lookup <call-id>'))
    .summary('the relay of a call, if it is bound')
    .description(
      'Tells the relay of a call. Never binds, moves or prolongs. Exit code 3 if the call is not bound.',
    )
    .option('--branch <via-branch>', 'the branch it was bound for')
    .action(async (callId: string, options: { branch?: string } & RemoteOptions) => {
      await options.ask(async (client) =>
        show(await client.lookup({ callId, viaBranch: options.branch }), options),
      );
    });

  withWish(remote(program.command('move <call-id>')))
    .summary('bind a call to another relay, on purpose')
    .description(
      'Moves a call. Name the generation that you saw (holdfast lookup): if the call was moved meanwhile, nothing ' +
        'is done and the exit code is 5. The SIP proxy has to re-offer the call for its media to follow.',
    )
    .requiredOption(
      '--generation <number>',
      'the generation to replace (required)',
      wholeOption(1, Number.MAX_SAFE_INTEGER),
    )
    .requiredOption('--reason <text>', 'why, for the log (required)')
    .option('--to <relay>', 'the relay to move to; else the placement policy chooses')
    .option('--branch <via-branch>', 'the branch it was bound for')
    .option('--request-id <id>', 'names this request, so that a retry is known as one')
    .action(async (callId: string, options: MoveOptions & RemoteOptions) => {
      const { generation, reason, to, branch, requestId } = options;
      const request = {
        callId,
        viaBranch: branch,
        generation: BigInt(generation),
        reason,
        targetRelayId: to,
        requestId,
      };
      await options.ask(async (client) =>
        show(await client.move({ ...request, ...wishOf(options) }), options),
      );
    });

  remote(program.command('release <call-id>'))
    .summary('say that a call has ended')
    .description(
      'Ends the binding of a call, after a linger in which a late BYE still finds its relay. May be repeated.',
    )
    .option('--branch <via-branch>', 'the branch it was bound for')
    .action(async (callId: string, options: { branch?: string } & RemoteOptions) => {
      await options.ask(async (client) => {
        const { found } = await client.release({ callId, viaBranch: options.branch });
        if (options.json) {
          print(json({ callId, found }));
        } else {
          print(found ? `${callId} released` : `${callId} was not bound: nothing to release`);
        }
      });
    });
}

interface SelectOptions extends WishOptions {
  readonly set: string;
  readonly branch?: string;
  readonly ttl?: number;
  readonly requestId?: string;
}

interface MoveOptions extends WishOptions {
  readonly generation: number;
  readonly reason: string;
  readonly to?: string;
  readonly branch?: string;
  readonly requestId?: string;
}

function wishOf({ exclude, zone, label }: WishOptions) {
  return { excludedRelayIds: exclude, zone, labels: label };
}

function show(answer: Answered, { json: asJson }: RemoteOptions): void {
  print(
    asJson
      ? json(bindingShape(answer))
      : bindingRows(answer)
          .map(([name = '', value]) => `${name.padEnd(12)}${value}`)
          .join('\n'),
  );
}
