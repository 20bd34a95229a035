import type { Command } from 'commander';
import { relayNodeSettings } from '../../../relay-node/config.js';
import { processCommand } from '../process-command.js';

export function addTo(program: Command): void {
  processCommand(
    program
      .command('relay-node')
      .summary('run beside a relay: probe, register and drain it')
      .description(
        'Keeps one relay registered while it is healthy. SIGTERM drains it: no new calls, then it waits for the ' +
          'present ones, up to a deadline, and leaves. A second signal ends it at once.',
      ),
    relayNodeSettings,
    async (environment) => (await import('../../../relay-node/process.js')).runRelayNode(environment),
  );
}
