import { type Command, InvalidArgumentError } from 'commander';
import { maxWeight } from '../../domain/relay.js';
import { absentOkOption, type IntentOptions, setIntent } from '../intent.js';
import { type RemoteOptions, remote, setOption, wholeOption } from '../options.js';

const own = 'own';

export function addTo(program: Command): void {
  remote(program.command('weight <relay>'))
    .summary("change a relay's share of new calls")
    .description(
      `Overrides the relay's own weight, 0-${maxWeight}; \`${own}\` ends that. Calls that are bound stay where they are.`,
    )
    .argument('<weight>', `0-${maxWeight}, or ${own}`, parseWeight)
    .addOption(setOption('set of the relay'))
    .option(...absentOkOption)
    .action((relayId: string, weight: number | undefined, options: RemoteOptions & IntentOptions) =>
      options.withClient((client) =>
        setIntent(client, { relayId, weight, ownWeight: weight === undefined }, options),
      ),
    );
}

/** Undefined for the relay's own. */
function parseWeight(text: string): number | undefined {
  try {
    return text === own ? undefined : wholeOption(0, maxWeight)(text);
  } catch {
    throw new InvalidArgumentError(`allowed: 0-${maxWeight}, or ${own}`);
  }
}
