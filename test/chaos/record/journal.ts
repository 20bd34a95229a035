import { createReadStream, createWriteStream, type WriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { finished } from 'node:stream/promises';

/** A file with one JSON object per line, appended at once: a long run does not fit in memory. */
export class Journal<T extends object> {
  readonly #stream: WriteStream;
  /** Lines written so far. */
  lines = 0;

  constructor(readonly path: string) {
    this.#stream = createWriteStream(path);
  }

  write(record: T): void {
    this.lines++;
    this.#stream.write(`${JSON.stringify(record)}\n`);
  }

  /** Resolves when all that was written can be read from the file. */
  flush(): Promise<void> {
    return new Promise((resolve) => this.#stream.write('', () => resolve()));
  }

  async close(): Promise<void> {
    this.#stream.end();
    await finished(this.#stream);
  }
}

/** The records of a journal, without an incomplete last line. */
export async function* readJournal<T>(path: string): AsyncGenerator<T> {
  const lines = createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY });
  for await (const line of lines) {
    let record: T;
    try {
      record = JSON.parse(line) as T;
    } catch {
      return;
    }
    yield record;
  }
}
