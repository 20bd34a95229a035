import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repository } from './repository.js';

/** What an rtpproxy was asked and how it answered, recorded between real programs. */
export interface Transcript {
  readonly name: string;
  /** Options of the engine. */
  readonly engine: readonly string[];
  /** That the engine has; many, if not told. */
  readonly portPairs?: number;
  readonly exchanges: readonly (readonly [command: string, reply: string])[];
}

/** Kamailio 5.6.3 and Sippy B2BUA 2.5.0 with the engine of PyPI's rtp-io 1.1.1, and commands typed to that engine. */
export const transcripts = JSON.parse(
  readFileSync(join(repository, 'test/corpus/rtpproxy/transcripts.json'), 'utf8'),
) as readonly Transcript[];
