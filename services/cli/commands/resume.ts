import type { Command } from 'commander';
import { RelayState } from '../../client/index.js';
import { maxWeight } from '../../domain/relay.js';
import { setIntent } from '../intent.js';
import { type RemoteOptions, remote, setOption, wholeOption } from '../options.js';

interface ResumeOptions extends RemoteOptions {
  readonly set: string;
  readonly weight?: number;
}

export function addTo(program: Command): void {
  remote(program.command('resume <relay>'))
    .summary('give a drained or disabled relay calls again')
    .description(
      "Removes the operator's intent for a relay: it is active again, with its own weight or --weight.",
    )
    .addOption(setOption('set of the relay'))
    .option(
      '--weight <number>',
      `overrides the relay's own weight, 0-${maxWeight}`,
      wholeOption(0, maxWeight),
    )
    .action((relayId: string, options: ResumeOptions) =>
      options.withClient((client) => {
        const { set, weight } = options;
        return setIntent(client, { relayId, set, weight, state: RelayState.ACTIVE }, options);
      }),
    );
}
