import { type FileHandle, open, readFile, rename, rm } from 'node:fs/promises';
import { z } from 'zod';
import type { Logger } from '../../../services/runtime/log.js';
import { type CallState, callSchema } from './call-state.js';

/** One life of the relay: it goes on in another process of the same boot. */
const lifeSchema = z.object({
  version: z.literal(1),
  bootId: z.string(),
  instance: z.string(),
  startedAtMs: z.number(),
});
const changeSchema = z.union([z.object({ call: callSchema }), z.object({ ended: z.string() })]);

export type Life = Omit<z.infer<typeof lifeSchema>, 'version'>;

export interface JournalDeps {
  readonly log: Logger;
  /** The calls that there are now. */
  readonly calls: () => Iterable<CallState>;
}

/** The call as it is now; undefined if it has ended. */
export type StateOf = () => CallState | undefined;

/** More lines than this that say nothing new, and as many as there are calls, have the file written anew. */
const maxStaleLines = 1000;

/** What the process before has left. Undefined if there is nothing of this boot. @throws Error if it cannot be read */
export async function readJournal(
  path: string,
  bootId: string,
): Promise<{ life: Life; calls: CallState[] } | undefined> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') {
      return '';
    }
    throw error;
  });
  // The process may have ended in the middle of its last line.
  const [first, ...changes] = text.split('\n').slice(0, -1);
  const life = first === undefined ? undefined : lifeSchema.parse(JSON.parse(first));
  if (!life || life.bootId !== bootId) {
    return undefined;
  }
  const calls = new Map<string, CallState>();
  for (const line of changes) {
    const change = changeSchema.parse(JSON.parse(line));
    if ('ended' in change) {
      calls.delete(change.ended);
    } else {
      calls.set(change.call.id, change.call);
    }
  }
  return { life, calls: [...calls.values()] };
}

/**
 * The file that says what the relay's calls are: a line for each change. It is for the next process after one that was killed,
 * not for one after a crash of the host, so it is not synced to the disk.
 */
export class Journal {
  readonly life: Life;
  readonly #path: string;
  readonly #deps: JournalDeps;
  readonly #changed = new Map<string, StateOf>();
  #file: FileHandle | undefined;
  #lines = 0;
  #writing: Promise<void> | undefined;

  constructor(path: string, life: Life, deps: JournalDeps) {
    this.#path = path;
    this.life = life;
    this.#deps = deps;
  }

  /** Takes the place of the journal before. @throws Error if the file cannot be written */
  async start(): Promise<void> {
    await this.#rewrite();
  }

  /** @param stateOf asked for when it is written, which is soon */
  note(callId: string, stateOf: StateOf): void {
    if (this.#file) {
      this.#changed.set(callId, stateOf);
      this.#writing ??= this.#write().finally(() => {
        this.#writing = undefined;
      });
    }
  }

  /** Resolves when all that was noted is written, or cannot be. */
  async saved(): Promise<void> {
    await this.#writing;
  }

  /** Leaves it to the next process, as it is now; never rejects. */
  async leave(): Promise<void> {
    await this.saved();
    try {
      if (this.#file) {
        await this.#rewrite();
      }
    } catch (error) {
      await this.#giveUp((error as Error).message);
    }
    const file = this.#file;
    this.#file = undefined;
    await file?.close().catch(() => undefined); // what was written is there
  }

  /** There is nothing to go on with. */
  async remove(): Promise<void> {
    await this.saved();
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
    await rm(this.#path, { force: true });
  }

  async #write(): Promise<void> {
    try {
      while (this.#changed.size > 0 && this.#file) {
        const lines = [...this.#changed].map(([id, stateOf]) => {
          const call = stateOf();
          return line(call ? { call } : { ended: id });
        });
        this.#changed.clear();
        await this.#file.appendFile(lines.join(''));
        this.#lines += lines.length;
        if (this.#lines > maxStaleLines && this.#lines > 4 * [...this.#deps.calls()].length) {
          await this.#rewrite();
        }
      }
    } catch (error) {
      await this.#giveUp((error as Error).message);
    }
  }

  /** In place of the file as a whole, so that there is always one that is whole. */
  async #rewrite(): Promise<void> {
    const lines = [...this.#deps.calls()].map((call) => line({ call }));
    const path = `${this.#path}.new`;
    const file = await open(path, 'w', 0o600);
    try {
      await file.appendFile(line({ version: 1, ...this.life }) + lines.join(''));
      await rename(path, this.#path);
    } catch (error) {
      await file.close();
      throw error;
    }
    await this.#file?.close();
    this.#file = file;
    this.#lines = lines.length;
  }

  /** A file that is behind would bring back calls that have ended. */
  async #giveUp(reason: string): Promise<void> {
    this.#deps.log.error(
      { file: this.#path, reason },
      'calls will not outlive this process: their state cannot be written',
    );
    this.#changed.clear();
    const file = this.#file;
    this.#file = undefined;
    await file?.close().catch(() => undefined);
    await rm(this.#path, { force: true }).catch(() => undefined);
  }
}

function line(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}
