import type { Command } from 'commander';
import { RelayState } from '../../client/index.js';
import { absentOkOption, type IntentOptions, setIntent } from '../intent.js';
import { type RemoteOptions, remote, setOption } from '../options.js';

interface DisableOptions extends RemoteOptions, IntentOptions {
  readonly reason?: string;
}

export function addTo(program: Command): void {
  remote(program.command('disable <relay>'))
    .summary('take a relay out of service; its calls go on')
    .description(
      'Gives the relay no new calls, whatever its relay node says, until holdfast resume; the calls that it has go on.',
    )
    .addOption(setOption('set of the relay'))
    .option('--reason <text>', 'why, for other operators')
    .option(...absentOkOption)
    .action((relayId: string, options: DisableOptions) =>
      options.withClient((client) => {
        const { reason } = options;
        return setIntent(client, { relayId, reason, state: RelayState.DISABLED }, options);
      }),
    );
}
