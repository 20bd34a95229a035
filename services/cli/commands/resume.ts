import type { Command } from 'commander';
import { RelayState } from '../../client/index.js';
import { absentOkOption, type IntentOptions, setIntent } from '../intent.js';
import { type RemoteOptions, remote, setOption } from '../options.js';

export function addTo(program: Command): void {
  remote(program.command('resume <relay>'))
    .summary('give a drained or disabled relay calls again')
    .description('The relay takes new calls again. A weight that an operator gave it stays.')
    .addOption(setOption('set of the relay'))
    .option(...absentOkOption)
    .action((relayId: string, options: RemoteOptions & IntentOptions) =>
      options.withClient((client) => setIntent(client, { relayId, state: RelayState.ACTIVE }, options)),
    );
}
