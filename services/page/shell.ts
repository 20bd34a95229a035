/** A command to copy: `holdfast drain --set edge media-1`. Each value is one word of a shell, whatever is in it. */
export function holdfastCommand(
  command: string,
  options: Readonly<Record<string, string>>,
  argument?: string,
): string {
  const flags = Object.entries(options)
    .filter(([name, value]) => !(name === 'set' && value === 'default'))
    .flatMap(([name, value]) => [`--${name}`, word(value)]);
  const last =
    argument === undefined ? [] : argument.startsWith('-') ? ['--', word(argument)] : [word(argument)];
  return ['holdfast', command, ...flags, ...last].join(' ');
}

/** Quoted where it must be; with escapes, as bash, zsh and ksh read them, where it could not be shown or would end the line. */
function word(value: string): string {
  if (/^[\w@%+=:,./-]+$/.test(value)) {
    return value;
  }
  if (!/[\p{C}\p{Zl}\p{Zp}]/u.test(value)) {
    return `'${value.replaceAll("'", String.raw`'\''`)}'`;
  }
  const escaped = value.replace(/[\\'\p{C}\p{Zl}\p{Zp}]/gu, (each) =>
    /[\\']/.test(each)
      ? `\\${each}`
      : [...Buffer.from(each)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join(''),
  );
  return `$'${escaped}'`;
}
