import { styleText } from 'node:util';

/** Where a command's text goes. */
export interface Terminal {
  /** Columns; undefined if it goes to a file or another program, which gets everything. */
  readonly width: number | undefined;
  /** Whether it shows colors, and is meant to: NO_COLOR is respected. */
  readonly colors: boolean;
}

/** Of a terminal that does not know how wide it is. */
const usualWidth = 80;

export function terminalOf(stream: NodeJS.WriteStream): Terminal {
  return stream.isTTY
    ? { width: stream.columns || usualWidth, colors: stream.hasColors() }
    : { width: undefined, colors: false };
}

export type Style = 'bold' | 'green' | 'yellow' | 'red';

export function styled(text: string, style: Style | undefined, { colors }: Terminal): string {
  return colors && style ? styleText(style, text, { validateStream: false }) : text;
}

/** What anybody can put into a name or a reason: control characters, line separators, changes of the writing direction. */
const unprintable = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** Safe to print: none of these characters reaches the terminal. */
export function printable(text: string): string {
  return text.replace(unprintable, '?');
}

/** At most so many characters; the last one shows that there were more. */
export function cut(text: string, width: number): string {
  const characters = [...text];
  return characters.length <= width ? text : `${characters.slice(0, Math.max(0, width - 1)).join('')}…`;
}
