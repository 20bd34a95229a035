import { Argument, type Command } from 'commander';
import { relayNodeSettings } from '../../../relay-node/config.js';
import { selectionSettings } from '../../replica/config.js';
import type { Setting, Settings } from '../../runtime/config.js';
import { print } from '../output.js';

const processes = { selection: selectionSettings, 'relay-node': relayNodeSettings };

export function addTo(program: Command): void {
  program
    .command('settings')
    .summary('print a file for --config with all settings and their defaults')
    .description(
      'Prints all settings of a process in TOML, with their defaults, for a file that --config names. All are commented out.',
    )
    .addArgument(new Argument('<process>', 'whose settings').choices(Object.keys(processes)))
    .action(async (name: keyof typeof processes) => {
      const { fileKeyOf } = await import('../../runtime/config-file.js');
      print(textOf(`holdfast ${name}`, processes[name], fileKeyOf));
    });
}

/** A comment for each setting, then its line. */
function textOf(command: string, settings: Settings, keyOf: (setting: Setting<unknown>) => string): string {
  const head = `# Settings of \`${command}\`: uncomment what you change. Flags and environment variables win.`;
  const lines = Object.values(settings).map((setting) => {
    const { description, allowed, name, fallback = '', required } = setting;
    const need = required ? 'Required; allowed' : 'Allowed';
    const value = /^\d+$/.test(fallback) ? fallback : JSON.stringify(fallback);
    return `# ${sentence(description)}\n# ${need}: ${allowed} [${name}]\n# ${keyOf(setting)} = ${value}`;
  });
  return [head, ...lines].join('\n\n');
}

const sentence = (text: string) => `${text[0]?.toUpperCase()}${text.slice(1)}.`;
