import type { Command } from 'commander';
import type { HoldfastClient } from '../../client/index.js';
import { Fleet } from '../../console/fleet.js';
import { relaysShape, statusShape } from '../../page/shapes.js';
import { systemClock } from '../../runtime/clock.js';
import { CommandError, exits } from '../exit.js';
import { type RemoteOptions, remoteAll } from '../options.js';
import { json, print } from '../output.js';
import { terminalOf } from '../terminal.js';
import { newChoice } from '../top/choice.js';
import { TopScreen } from '../top/screen.js';
import { topLines } from '../top/view.js';

interface TopOptions extends RemoteOptions {
  readonly filter?: string;
}

export function addTo(program: Command): void {
  remoteAll(program.command('top'))
    .summary('relays, problems and events, drawn as they change')
    .description(
      'Draws in a terminal what the page of a replica shows: in one sentence whether all is well, the worst problems and what ' +
        'to do about them, the relays, and what happened last. For several replicas it shows the sum, and which of them does ' +
        'not answer. Keys: s and S sort by the next or previous column, r reverses the order, / filters, t shows only trouble, ' +
        'e hides the events, arrows scroll, q quits. Without a terminal it prints everything once.',
    )
    .option('--filter <text>', 'only relays with this in their set, name, zone, kind or state')
    .action((options: TopOptions) => options.withClients((clients) => run(clients, options)));
}

async function run(clients: readonly HoldfastClient[], { filter, json: asJson }: TopOptions): Promise<void> {
  const fleet = new Fleet({ clock: systemClock, clients });
  const asked = new Promise<void>((resolve) => {
    const unsubscribe = fleet.subscribe(() => {
      if (fleet.hasAsked) {
        unsubscribe();
        resolve();
      }
    });
  });
  fleet.start();
  try {
    await asked;
    const reason = fleet.notReady();
    if (reason !== undefined) {
      throw new CommandError(
        `no Holdfast replica answers: ${reason} (--server or HOLDFAST_SERVER names another)`,
        exits.unavailable,
      );
    }
    const { stdin, stdout } = process;
    if (asJson) {
      print(json({ status: statusShape(fleet.status()), ...relaysShape(fleet) }));
    } else if (stdout.isTTY && stdin.isTTY) {
      await new TopScreen(fleet, newChoice(filter), { in: stdin, out: stdout }).run();
    } else {
      print(topLines(fleet, newChoice(filter), terminalOf(stdout)).join('\n'));
    }
  } finally {
    fleet.stop();
  }
}
