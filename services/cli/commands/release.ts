import type { Command } from 'commander';
import { callSetOption, type RemoteOptions, remote } from '../options.js';
import { json, print } from '../output.js';

interface ReleaseOptions extends RemoteOptions {
  readonly set?: string;
  readonly branch?: string;
}

export function addTo(program: Command): void {
  remote(program.command('release <call-id>'))
    .summary('end the binding of a call that is over')
    .description(
      'Ends the binding of a call, after a linger in which a late BYE still reaches its relay. Can be repeated.',
    )
    .addOption(callSetOption())
    .option('--branch <via-branch>', 'the branch that was bound')
    .action(async (callId: string, options: ReleaseOptions) => {
      await options.withClient(async (client) => {
        const { found } = await client.release({ callId, set: options.set, viaBranch: options.branch });
        if (options.json) {
          print(json({ callId, found }));
        } else {
          print(found ? `${callId} released` : `${callId} is not bound: nothing to release`);
        }
      });
    });
}
