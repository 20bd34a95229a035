import type { Command } from 'commander';
import { callSetOption, type RemoteOptions, remote } from '../options.js';
import { printAnswer } from '../shapes.js';

interface LookupOptions extends RemoteOptions {
  readonly set?: string;
  readonly branch?: string;
}

export function addTo(program: Command): void {
  remote(program.command('lookup <call-id>'))
    .summary('the relay of a call, if it is bound')
    .description('Shows the relay of a call without changing anything. Exit code 3 if the call is not bound.')
    .addOption(callSetOption())
    .option('--branch <via-branch>', 'the branch that was bound')
    .action(async (callId: string, options: LookupOptions) => {
      await options.withClient(async (client) =>
        printAnswer(await client.lookup({ callId, set: options.set, viaBranch: options.branch }), options),
      );
    });
}
