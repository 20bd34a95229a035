import { type CommandWords, type OptionWords, quoted, relayIds, type Value } from './words.js';

/** A script that can be sourced, or be the file `_holdfast` in a directory of `fpath`. */
export function zshCompletion(commands: readonly CommandWords[]): string {
  const described = commands.map(({ name, summary }) => quoted(`${name}:${summary}`));
  return `#compdef holdfast
# Completion of holdfast for zsh: source <(holdfast completion zsh)

_holdfast_relays() {
  compadd -- \${(f)"$(${relayIds})"}
}

_holdfast() {
  local -a commands=(
    ${described.join('\n    ')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${commands.map(commandCase).join('\n')}
  esac
}

if [ "$funcstack[1]" = _holdfast ]; then
  _holdfast "$@"
else
  compdef _holdfast holdfast
fi
`;
}

function commandCase({ name, options, argument }: CommandWords): string {
  const first = argument === undefined ? [] : [quoted(`1::${kindOf(argument)}:${action(argument)}`)];
  return `    ${quoted(name)}) _arguments ${[...first, ...options.map(optionSpec)].join(' ')} ;;`;
}

function optionSpec({ flag, description, isRepeatable, value }: OptionWords): string {
  const text = description.replace(/[[\]:\\]/g, '\\$&');
  const message = value === undefined ? '' : `:${kindOf(value)}:${action(value)}`;
  return quoted(`${isRepeatable ? '*' : ''}${flag}[${text}]${message}`);
}

function kindOf(value: Value): string {
  return typeof value === 'string' && value !== 'any' ? value : 'value';
}

function action(value: Value): string {
  switch (value) {
    case 'any':
      return ' ';
    case 'file':
      return '_files';
    case 'relay':
      return '_holdfast_relays';
    default:
      return `(${value.join(' ')})`;
  }
}
