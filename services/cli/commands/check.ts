import type { Command } from 'commander';
import { relayNodeSettings } from '../../../relay-node/config.js';
import { selectionSettings } from '../../replica/config.js';
import type { Settings } from '../../runtime/config.js';
import type { Check } from '../check/check.js';
import { exits } from '../exit.js';
import { print } from '../output.js';
import { processCommand } from '../process-command.js';

export function addTo(program: Command): void {
  const check = program
    .command('check')
    .summary('say whether a process with these settings could run here')
    .description(
      'Takes the settings of a process and tries what it needs: etcd and its permissions there, certificates, addresses, ' +
        'the relay. Nothing is registered or kept. Exit code 0 if all is well, 1 if not.',
    );
  addProcess(check, 'selection', 'a replica of the selection service', selectionSettings, async () => {
    const { selectionChecks } = await import('../check/selection.js');
    return selectionChecks;
  });
  addProcess(check, 'relay-node', 'a relay node; stop the one that runs', relayNodeSettings, async () => {
    const { relayNodeChecks } = await import('../check/relay-node.js');
    return relayNodeChecks;
  });
}

function addProcess(
  parent: Command,
  name: string,
  summary: string,
  settings: Settings,
  load: () => Promise<(environment: NodeJS.ProcessEnv) => Check[]>,
): void {
  const command = parent.command(name).summary(summary).description(`Checks ${summary}.`);
  processCommand(command.exitOverride().showHelpAfterError('(see --help)'), settings, async (environment) => {
    const checks = (await load())(environment);
    const { runChecks } = await import('../check/check.js');
    return (await runChecks(checks, print)) ? exits.ok : exits.failed;
  });
}
