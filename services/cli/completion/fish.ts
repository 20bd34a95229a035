import { type CommandWords, type OptionWords, relayIds, type Value } from './words.js';

/** A script that can be sourced, or be the file `holdfast.fish` in a directory of `fish_complete_path`. */
export function fishCompletion(commands: readonly CommandWords[]): string {
  return `# Completion of holdfast for fish: holdfast completion fish | source

function __holdfast_relays
  ${relayIds}
end

complete -c holdfast -e
complete -c holdfast -f
${commands.flatMap(linesOf).join('\n')}
`;
}

function linesOf({ name, summary, options, argument }: CommandWords): string[] {
  const seen = `complete -c holdfast -n '__fish_seen_subcommand_from ${name}'`;
  return [
    `complete -c holdfast -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`,
    ...(argument === undefined || argument === 'any' ? [] : [`${seen} ${choice(argument)}`]),
    ...options.map((option) => `${seen} ${optionOf(option)}`),
  ];
}

function optionOf({ flag, description, value }: OptionWords): string {
  const named = `-l ${flag.replace(/^--/, '')} -d ${quoted(description)}`;
  if (value === undefined) {
    return named;
  }
  return value === 'any' ? `${named} -x` : `${named} ${choice(value)}`;
}

function choice(value: Exclude<Value, 'any'>): string {
  switch (value) {
    case 'file':
      return '-r -F';
    case 'relay':
      return `-x -a '(__holdfast_relays)'`;
    default:
      return `-x -a ${quoted(value.join(' '))}`;
  }
}

function quoted(text: string): string {
  return `'${text.replace(/['\\]/g, '\\$&')}'`;
}
