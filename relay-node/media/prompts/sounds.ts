import { constants } from 'node:fs';
import { access, open, realpath } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Clock, inTime } from '../../../services/runtime/clock.js';
import { encode, type G711, pcma, pcmu } from '../sound/g711.js';
import { sampleRate, samplesOf } from '../sound/wav.js';

export interface Sound {
  readonly bytes: Buffer;
  readonly durationMs: number;
}

interface Cached {
  readonly version: string;
  readonly sounds: Readonly<Record<G711, Sound>>;
}

export const soundLimits = {
  fileBytes: 8 << 20,
  /** In memory, of all files: four hours of sound. */
  cachedBytes: 256 << 20,
};
/** A request waits no longer for the directory. */
const maxReadMs = 500;

/** The one that is there if nobody has put one of that name into the directory. */
const musicOnHold = 'music-on-hold.wav';
const shipped = fileURLToPath(new URL(musicOnHold, import.meta.url));

/** The wav files that may be played, all below one directory, and music on hold. */
export class Sounds {
  readonly #directory: string;
  readonly #clock: Clock;
  readonly #limits: typeof soundLimits;
  /** The one first that was played longest ago. */
  readonly #cache = new Map<string, Cached>();
  #cachedBytes = 0;

  constructor(directory: string, clock: Clock, limits = soundLimits) {
    this.#directory = directory;
    this.#clock = clock;
    this.#limits = limits;
  }

  /** @throws Error if nothing can be read there */
  async check(): Promise<void> {
    await access(this.#directory, constants.R_OK | constants.X_OK).catch((error: Error) => {
      throw new Error(`prompts cannot be read from ${this.#directory}: ${error.message}`, { cause: error });
    });
  }

  /** @param name a path below the directory @throws Error saying why it cannot be played */
  async find(name: string, codec: G711): Promise<Sound> {
    const found = await inTime(this.#clock, maxReadMs, this.#read(name), undefined);
    if (!found) {
      throw new Error('the directory of prompts does not answer');
    }
    return found.sounds[codec];
  }

  async #read(name: string): Promise<Cached> {
    const path = await this.#locate(name);
    const file = await open(path, 'r');
    try {
      const { size, mtimeMs } = await file.stat();
      const version = `${size} ${mtimeMs}`;
      const cached = this.#cache.get(path);
      if (cached?.version === version) {
        this.#cache.delete(path);
        this.#cache.set(path, cached);
        return cached;
      }
      const { fileBytes } = this.#limits;
      if (size > fileBytes) {
        throw new Error(`more than ${fileBytes} bytes`);
      }
      return this.#keep(path, { version, sounds: soundsOf(await file.readFile()) });
    } finally {
      await file.close();
    }
  }

  async #locate(name: string): Promise<string> {
    const directory = await realpath(this.#directory);
    const wanted = resolve(directory, name);
    const path = await realpath(wanted).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' && wanted === join(directory, musicOnHold)) {
        return shipped;
      }
      throw error;
    });
    if (path !== shipped && relative(directory, path).startsWith('..')) {
      throw new Error(`not below ${this.#directory}`);
    }
    return path;
  }

  #keep(path: string, cached: Cached): Cached {
    this.#forget(path);
    this.#cache.set(path, cached);
    this.#cachedBytes += bytesOf(cached);
    for (const other of this.#cache.keys()) {
      if (this.#cachedBytes <= this.#limits.cachedBytes) {
        break;
      }
      this.#forget(other);
    }
    return cached;
  }

  #forget(path: string): void {
    const cached = this.#cache.get(path);
    if (cached) {
      this.#cache.delete(path);
      this.#cachedBytes -= bytesOf(cached);
    }
  }
}

function soundsOf(file: Buffer): Cached['sounds'] {
  const samples = samplesOf(file);
  if (samples.length === 0) {
    throw new Error('a wav file without sound');
  }
  const durationMs = Math.floor((samples.length * 1000) / sampleRate);
  return {
    [pcmu]: { bytes: encode(samples, pcmu), durationMs },
    [pcma]: { bytes: encode(samples, pcma), durationMs },
  };
}

function bytesOf({ sounds }: Cached): number {
  return sounds[pcmu].bytes.length + sounds[pcma].bytes.length;
}
