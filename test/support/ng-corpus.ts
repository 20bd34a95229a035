import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repository } from './repository.js';

const folder = join(repository, 'test/corpus/ng');

/** A datagram worth keeping, and what the parser must make of it: `request`, `refused` or `dropped`. */
export interface Sample {
  readonly name: string;
  readonly expected: string;
  readonly datagram: Buffer;
}

/** Each file has a line of description, a line of expectation, and the bytes with the escapes \\r, \\n and \\xNN. */
export const corpus: readonly Sample[] = readdirSync(folder).map((name) => {
  const [, expectation = '', ...rest] = readFileSync(join(folder, name), 'latin1').split('\n');
  const text = rest.join('\n').replace(/\n$/, '');
  const bytes = text.replace(/\\(?:x([0-9a-f]{2})|r|n)/g, (sequence, hex?: string) =>
    hex ? String.fromCharCode(Number.parseInt(hex, 16)) : sequence === '\\r' ? '\r' : '\n',
  );
  return { name, expected: expectation.replace('# expect: ', ''), datagram: Buffer.from(bytes, 'latin1') };
});
