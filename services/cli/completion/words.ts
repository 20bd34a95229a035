import type { Argument, Command, Option } from 'commander';
import { cut } from '../terminal.js';

/** What a shell can complete: what --help lists, from the same definitions. */
export interface CommandWords {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly OptionWords[];
  /** Of its first argument. */
  readonly argument: Value | undefined;
}

export interface OptionWords {
  /** With its dashes. */
  readonly flag: string;
  readonly description: string;
  readonly isRepeatable: boolean;
  /** Undefined for a flag without a value. */
  readonly value: Value | undefined;
}

/** What a value is chosen from; `any`: nothing that a shell could know. */
export type Value = 'any' | 'file' | 'relay' | readonly string[];

const descriptionWidth = 70;

export function wordsOf(program: Command): readonly CommandWords[] {
  const help = program.createHelp();
  const commands = help.visibleCommands(program);
  const names = commands.map((command) => command.name());
  return commands.map((command) => ({
    name: command.name(),
    summary: command.summary() || command.description(),
    options: help.visibleOptions(command).flatMap(optionWords),
    argument: command.name() === 'help' ? names : argumentValue(command.registeredArguments[0]),
  }));
}

function optionWords({ long, description, flags, required, optional, argChoices }: Option): OptionWords[] {
  const takesValue = required || optional;
  return long
    ? [
        {
          flag: long,
          description: cut(description, descriptionWidth),
          isRepeatable: description.includes('(repeatable)'),
          value: takesValue ? (argChoices ?? valueNamed(flags)) : undefined,
        },
      ]
    : [];
}

function argumentValue(argument: Argument | undefined): Value | undefined {
  // One that takes the rest of the line has the words of another program.
  return argument && !argument.variadic
    ? (argument.argChoices ?? valueNamed(`<${argument.name()}>`))
    : undefined;
}

function valueNamed(placeholder: string): Value {
  return placeholder.includes('<file>') ? 'file' : placeholder.includes('<relay>') ? 'relay' : 'any';
}

/**
 * Prints the ids of the registered relays. Only DNS labels pass, whatever a server says: shells evaluate some of the words
 * that they complete.
 */
export const relayIds =
  "timeout 3 holdfast relays 2>/dev/null | awk 'NR > 1 && NF == 0 { exit } NR > 1 && $2 ~ /^[a-z0-9-]+$/ { print $2 }'";

/** As one word of a POSIX shell. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
