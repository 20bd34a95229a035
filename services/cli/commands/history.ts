import type { Command } from 'commander';
import { historyLines, historyShape } from '../history.js';
import { callSetOption, type RemoteOptions, remote } from '../options.js';
import { json, print } from '../output.js';
import { terminalOf } from '../terminal.js';

interface HistoryOptions extends RemoteOptions {
  readonly set?: string;
  readonly branch?: string;
}

export function addTo(program: Command): void {
  remote(program.command('history <call-id>'))
    .summary('the relays that a call has had: since when, why, and who moved it')
    .description(
      'Shows the relays of a call, oldest first, without changing anything: since when, why, and who moved it there. The ' +
        'last 8 moves are kept with the binding, so every replica tells the same. Exit code 3 if the call is not bound.',
    )
    .addOption(callSetOption())
    .option('--branch <via-branch>', 'the branch that was bound')
    .action(async (callId: string, options: HistoryOptions) => {
      const { set, branch } = options;
      await options.withClient(async (client) => {
        const answer = await client.lookup({ callId, set, viaBranch: branch });
        print(
          options.json
            ? json(historyShape(answer))
            : historyLines(answer, terminalOf(process.stdout)).join('\n'),
        );
      });
    });
}
