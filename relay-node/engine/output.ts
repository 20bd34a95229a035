import type { Readable } from 'node:stream';

/** What is longer is cut, characters. */
const maxLine = 2000;

/** Tells each line of a program's output as it comes, and the last one also without its end. */
export function onLines(output: Readable, tell: (line: string) => void): void {
  let rest = '';
  output.setEncoding('utf8');
  output.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    // No line has no end: what is beyond the limit is lost anyway.
    rest = (lines.pop() ?? '').slice(0, maxLine);
    for (const line of lines) {
      tell(line.slice(0, maxLine).trimEnd());
    }
  });
  output.on('end', () => {
    if (rest !== '') {
      tell(rest);
    }
  });
}
