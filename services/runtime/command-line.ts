/** A program and its arguments. */
export type CommandLine = readonly [program: string, ...args: string[]];

export const commandLineRule = 'a program and its arguments; what has a blank is in double quotes';

const word = /"([^"]*)"|([^\s"]+)/g;
const line = /^\s*(?:(?:"[^"]*"|[^\s"]+)(?:\s+|$))+$/;

/** Words separated by blanks, in double quotes where they have some. Undefined for anything else. */
export function parseCommandLine(text: string): CommandLine | undefined {
  const words = line.test(text) ? [...text.matchAll(word)].map(([, quoted, plain]) => quoted ?? plain) : [];
  const [program, ...args] = words as string[];
  return program ? [program, ...args] : undefined;
}

/** The inverse; what has a double quote cannot be said, and is refused when it is read. */
export function formatCommandLine(words: readonly string[]): string {
  return words.map((each) => (/^[^\s]+$/.test(each) ? each : `"${each}"`)).join(' ');
}
