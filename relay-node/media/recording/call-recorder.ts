import type { Call } from '../call.js';
import type { Dialog } from '../dialog.js';
import { RefusedError } from '../errors.js';
import type { EndedDialog, Sessions } from '../sessions.js';
import type { Recording } from './recording.js';
import type { Recordings } from './recordings.js';
import type { RecordingFormat } from './track.js';

/** What is recorded: calls as a whole, or one dialog of a call. A recording ends with them. */
export class CallRecorder {
  readonly #sessions: Sessions;
  readonly #recordings: Recordings;
  readonly #ofCalls = new Map<Call, Recording>();
  readonly #ofDialogs = new Map<Dialog, Recording>();
  readonly #unsubscribe: () => void;

  constructor(sessions: Sessions, recordings: Recordings) {
    this.#sessions = sessions;
    this.#recordings = recordings;
    this.#unsubscribe = sessions.ended.add((ended) => this.#ended(ended));
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
    await this.#recordings.stop();
  }

  get active(): number {
    return this.#recordings.active;
  }

  get failures(): number {
    return this.#recordings.failures;
  }

  /** Of recordings for which none is asked. */
  get format(): RecordingFormat {
    return this.#recordings.format;
  }

  /** One that is recorded already goes on as it is. @returns whether there is such a call @throws RefusedError */
  async startCall(callId: string, format = this.format): Promise<boolean> {
    const found = await this.#sessions.change(callId, async (call) => {
      if (this.#ofCalls.has(call)) {
        return true;
      }
      const recording = await this.#recordings.begin(callId, format, () => void this.#stop(call));
      if (call.dialogs.size === 0) {
        await this.#recordings.end(recording);
        throw new RefusedError('The call has ended');
      }
      this.#ofCalls.set(call, recording);
      call.recorder = recording;
      for (const dialog of call.dialogs) {
        await this.#stopDialog(dialog);
        dialog.record(recording);
      }
      return true;
    });
    return found ?? false;
  }

  /** @returns whether there is such a call */
  async stopCall(callId: string): Promise<boolean> {
    const found = await this.#sessions.change(callId, async (call) => {
      await this.#stop(call);
      return true;
    });
    return found ?? false;
  }

  /**
   * One dialog of a call, in a file that is named after both.
   * @param choose the dialogs @returns how many began to be recorded; undefined if there is no such call @throws RefusedError
   */
  async startDialogs(
    callId: string,
    name: string,
    choose: (call: Call) => readonly Dialog[],
  ): Promise<number | undefined> {
    return this.#sessions.change(callId, async (call) => {
      const dialogs = choose(call).filter(({ recorder }) => recorder === undefined);
      for (const dialog of dialogs) {
        const recording = await this.#recordings.begin(
          name,
          this.format,
          () => void this.#stopDialog(dialog),
        );
        this.#ofDialogs.set(dialog, recording);
        dialog.record(recording);
      }
      return dialogs.length;
    });
  }

  /** @returns how many were recorded; undefined if there is no such call */
  async stopDialogs(callId: string, choose: (call: Call) => readonly Dialog[]): Promise<number | undefined> {
    return this.#sessions.change(callId, async (call) => {
      const dialogs = choose(call).filter((dialog) => this.#ofDialogs.has(dialog));
      for (const dialog of dialogs) {
        await this.#stopDialog(dialog);
      }
      return dialogs.length;
    });
  }

  async #stop(call: Call): Promise<void> {
    const recording = this.#ofCalls.get(call);
    this.#ofCalls.delete(call);
    call.recorder = undefined;
    for (const dialog of call.dialogs) {
      dialog.record(undefined);
    }
    if (recording) {
      await this.#recordings.end(recording);
    }
  }

  async #stopDialog(dialog: Dialog): Promise<void> {
    const recording = this.#ofDialogs.get(dialog);
    this.#ofDialogs.delete(dialog);
    if (recording) {
      dialog.record(undefined);
      await this.#recordings.end(recording);
    }
  }

  #ended({ call, dialog }: EndedDialog): void {
    void this.#stopDialog(dialog);
    if (call.dialogs.size === 0) {
      void this.#stop(call);
    }
  }
}
