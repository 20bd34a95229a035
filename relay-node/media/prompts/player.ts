import type { Clock } from '../../../services/runtime/clock.js';
import type { Dialog } from '../dialog.js';
import { RefusedError } from '../errors.js';
import type { EndedDialog, Sessions } from '../sessions.js';
import type { Side } from '../side.js';
import { type G711, pcma, pcmu } from '../sound/g711.js';
import { Prompt } from './prompt.js';
import type { Sounds } from './sounds.js';

/** Who is to hear it. */
export interface Hearer {
  readonly dialog: Dialog;
  readonly side: Side;
}

/** What is played to whom, at most one sound to each party of a dialog. It ends with the dialog. */
export class Player {
  readonly #sounds: Sounds;
  readonly #clock: Clock;
  readonly #playing = new Map<Dialog, [Prompt | undefined, Prompt | undefined]>();
  readonly #unsubscribe: () => void;

  constructor(sessions: Sessions, sounds: Sounds, clock: Clock) {
    this.#sounds = sounds;
    this.#clock = clock;
    this.#unsubscribe = sessions.ended.add((ended) => this.#ended(ended));
  }

  close(): void {
    this.#unsubscribe();
    for (const prompts of this.#playing.values()) {
      for (const prompt of prompts) {
        prompt?.stop();
      }
    }
  }

  /**
   * In place of what is played to them now.
   * @param times how often; infinite until it is stopped
   * @param codecs those that are allowed; by default what the party has signaled
   * @returns how long it is, ms @throws RefusedError; then nothing has changed
   */
  async play(
    hearers: readonly Hearer[],
    file: string,
    times: number,
    codecs?: readonly number[],
  ): Promise<number> {
    const chosen = hearers.map(({ dialog, side }) => {
      const stream = dialog.audio;
      const codec = (codecs ?? stream?.formatsOf(side) ?? []).find(isG711);
      if (!stream || codec === undefined) {
        throw new RefusedError('No media of G.711 to play to');
      }
      return { dialog, side, stream, codec };
    });
    let durationMs = 0;
    const found = await Promise.all(
      chosen.map(async (each) => ({ ...each, sound: await this.#find(file, each.codec) })),
    );
    for (const { dialog, side, stream, codec, sound } of found) {
      durationMs = sound.durationMs;
      this.stop([{ dialog, side }]);
      const prompts = this.#playing.get(dialog) ?? [undefined, undefined];
      const prompt = new Prompt(
        { bytes: sound.bytes, codec, times },
        stream.listener(side),
        this.#clock,
        () => {
          prompts[side] = undefined;
          if (!prompts[0] && !prompts[1]) {
            this.#playing.delete(dialog);
          }
        },
      );
      prompts[side] = prompt;
      this.#playing.set(dialog, prompts);
      prompt.start();
    }
    return durationMs;
  }

  /** @returns whether anything was played to one of them */
  stop(hearers: readonly Hearer[]): boolean {
    const prompts = hearers.flatMap(({ dialog, side }) => this.#playing.get(dialog)?.[side] ?? []);
    for (const prompt of prompts) {
      prompt.stop();
    }
    return prompts.length > 0;
  }

  async #find(file: string, codec: G711) {
    return this.#sounds.find(file, codec).catch((error: Error) => {
      throw new RefusedError(`Failed to start media playback from file: ${error.message}`);
    });
  }

  #ended({ dialog }: EndedDialog): void {
    this.stop([
      { dialog, side: 0 },
      { dialog, side: 1 },
    ]);
  }
}

function isG711(type: number): type is G711 {
  return type === pcmu || type === pcma;
}
