import type { Command } from 'commander';
import { selectionSettings } from '../../replica/config.js';
import { processCommand } from '../process-command.js';

export function addTo(program: Command): void {
  processCommand(
    program
      .command('selection')
      .summary('run a replica of the selection service')
      .description(
        'Runs one replica until SIGTERM or SIGINT. Run as many as you like: all give the same answers.',
      ),
    selectionSettings,
    async (environment) => (await import('../../replica/process.js')).runSelection(environment),
  );
}
