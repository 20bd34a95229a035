import type { Command } from 'commander';
import { relayNodeSettings } from '../../../relay-node/config.js';
import { processCommand } from '../process-command.js';

export function addTo(program: Command): void {
  processCommand(
    program
      .command('relay-node')
      .summary('run beside a relay: probe, register and drain it')
      .description(
        'Keeps one relay registered while it is healthy. SIGTERM drains it: the relay gets no new calls, and the ' +
          'process ends when its calls have ended, or at a deadline. A second signal ends it at once.',
      ),
    relayNodeSettings,
    async (environment) => (await import('../../../relay-node/process.js')).runRelayNode(environment),
  );
}
