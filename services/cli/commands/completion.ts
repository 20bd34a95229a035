import { Argument, type Command } from 'commander';
import { bashCompletion } from '../completion/bash.js';
import { fishCompletion } from '../completion/fish.js';
import { wordsOf } from '../completion/words.js';
import { zshCompletion } from '../completion/zsh.js';

const scripts = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion };
type Shell = keyof typeof scripts;

/** The program must have all its commands by the time that this one runs. */
export function addTo(program: Command): void {
  program
    .command('completion')
    .summary('print a script that completes commands, options and relays in a shell')
    .description(
      'Prints a completion script, to be sourced: source <(holdfast completion bash), or the same with zsh; ' +
        'holdfast completion fish | source. Ids of relays come from the replica that HOLDFAST_SERVER names.',
    )
    .addArgument(new Argument('<shell>', 'which shell').choices(Object.keys(scripts)))
    .action((shell: Shell) => {
      process.stdout.write(scripts[shell](wordsOf(program)));
    });
}
