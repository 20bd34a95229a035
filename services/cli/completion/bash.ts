import { type CommandWords, quoted, relayIds, type Value } from './words.js';

/** A script for bash 4 and later. */
export function bashCompletion(commands: readonly CommandWords[]): string {
  const names = commands.map(({ name }) => name).join(' ');
  return `# Completion of holdfast for bash: source <(holdfast completion bash)

_holdfast_relays() {
  ${relayIds}
}

_holdfast() {
  local word=$2 previous=$3 command=\${COMP_WORDS[1]} options=
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W ${quoted(names)} -- "$word"))
    return
  fi
  case "$command $previous" in
${valueCases(commands).join('\n')}
  esac
  if [[ $word == -* ]]; then
    case "$command" in
${commands.map(optionsCase).join('\n')}
    esac
    COMPREPLY=($(compgen -W "$options" -- "$word"))
    return
  fi
  case "$command" in
${commands.flatMap(argumentCase).join('\n')}
  esac
}

complete -F _holdfast holdfast
`;
}

/** What follows an option that takes a value. */
function valueCases(commands: readonly CommandWords[]): string[] {
  const patterns = new Map<string, string[]>();
  for (const { name, options } of commands) {
    for (const { flag, value } of options.filter((option) => option.value !== undefined)) {
      const code = value === undefined ? '' : complete(value);
      patterns.set(code, [...(patterns.get(code) ?? []), quoted(`${name} ${flag}`)]);
    }
  }
  return [...patterns].map(([code, of]) => `    ${of.join('|')})\n      ${code}return ;;`);
}

function optionsCase({ name, options }: CommandWords): string {
  return `      ${quoted(name)}) options=${quoted(options.map(({ flag }) => flag).join(' '))} ;;`;
}

function argumentCase({ name, argument }: CommandWords): string[] {
  return argument === undefined || argument === 'any' ? [] : [`    ${quoted(name)}) ${complete(argument)};;`];
}

/** Sets the answer to what can be a value; nothing if that cannot be known. */
function complete(value: Value): string {
  switch (value) {
    case 'any':
      return '';
    case 'file':
      return 'compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); ';
    case 'relay':
      return 'COMPREPLY=($(compgen -W "$(_holdfast_relays)" -- "$word")); ';
    default:
      return `COMPREPLY=($(compgen -W ${quoted(value.join(' '))} -- "$word")); `;
  }
}
