import type { Command } from 'commander';
import { actor } from '../actor.js';
import {
  type ConstraintOptions,
  callSetOption,
  constraintsOf,
  type RemoteOptions,
  remote,
  wholeOption,
  withConstraints,
} from '../options.js';
import { printAnswer } from '../shapes.js';

interface MoveOptions extends ConstraintOptions, RemoteOptions {
  readonly set?: string;
  readonly generation: number;
  readonly reason: string;
  readonly to?: string;
  readonly branch?: string;
  readonly requestId?: string;
}

export function addTo(program: Command): void {
  withConstraints(remote(program.command('move <call-id>')))
    .summary('bind a call to another relay')
    .description(
      'Moves a call. Name the generation that holdfast lookup shows: if the call has been moved since, nothing is ' +
        'done and the exit code is 5. Its media follow when the SIP proxy sends the next offer to the new relay.',
    )
    .addOption(callSetOption())
    .requiredOption(
      '--generation <number>',
      'the generation to replace (required)',
      wholeOption(1, Number.MAX_SAFE_INTEGER),
    )
    .requiredOption('--reason <text>', 'why, for the log (required)')
    .option('--to <relay>', 'the relay to move to; without it the placement policy chooses')
    .option('--branch <via-branch>', 'the branch that was bound')
    .option('--request-id <id>', 'identifies this request across retries')
    .action(async (callId: string, options: MoveOptions) => {
      const { set, generation, reason, to, branch, requestId } = options;
      const request = {
        callId,
        set,
        viaBranch: branch,
        generation: BigInt(generation),
        reason,
        targetRelayId: to,
        requestId,
        actor: actor(),
      };
      await options.withClient(async (client) =>
        printAnswer(await client.move({ ...request, ...constraintsOf(options) }), options),
      );
    });
}
