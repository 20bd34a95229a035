import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder with the .proto files, which ships beside the compiled code: `proto` at the package's root. */
export function protoDirectory(): string {
  for (let at = dirname(fileURLToPath(import.meta.url)); ; at = dirname(at)) {
    const candidate = join(at, 'proto');
    if (existsSync(join(candidate, 'holdfast/v1/selection.proto'))) return candidate;
    if (at === dirname(at)) throw new Error('the proto folder is missing from this installation');
  }
}
