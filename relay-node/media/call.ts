import type { Clock } from '../../services/runtime/clock.js';
import { Dialog, type DialogLimits, type Key } from './dialog.js';
import { RefusedError } from './errors.js';
import type { PacketRecorder } from './leg.js';
import { otherSide, type Side } from './side.js';
import type { MediaSockets } from './sockets.js';
import type { CallState } from './state/call-state.js';

/** The parties that a request names, by the tags of the SIP request that it stems from. */
export interface Parties {
  readonly fromTag: string;
  readonly toTag: string | undefined;
  readonly branch: string | undefined;
}

export interface Place {
  readonly dialog: Dialog;
  /** The side of the request's from-tag. */
  readonly side: Side;
}

export interface CallLimits extends DialogLimits {
  /** Dialogs of one call: each branch that a proxy offers separately is one, and each answer. */
  readonly maxDialogs: number;
}

/** All media of one Call-ID. */
export class Call {
  /** Oldest first. */
  readonly dialogs = new Set<Dialog>();
  /** Ends when the last request about this call has been carried out: they are taken one at a time. */
  queue: Promise<unknown> = Promise.resolve();
  /** Requests in that queue. */
  busy = 0;
  /** An offer was accepted. */
  established = false;
  createdAtWallMs: number;
  /** What another process would need has changed. */
  onChange: () => void = () => undefined;
  onKey: (key: Key) => void = () => undefined;
  /** Where packets of all its dialogs go, also of those to come; undefined while the call is not recorded as a whole. */
  recorder: PacketRecorder | undefined;
  /** Dialogs so far. */
  #begun = 0;

  constructor(
    readonly id: string,
    private readonly sockets: MediaSockets,
    private readonly limits: CallLimits,
    private readonly clock: Clock,
  ) {
    this.createdAtWallMs = clock.wallMs();
  }

  /** Goes on with a call of another process. @throws OutOfPortsError, RefusedError; then it has to be closed */
  async restore({ createdAtWallMs, begun, dialogs }: CallState): Promise<void> {
    this.createdAtWallMs = createdAtWallMs;
    this.established = true;
    for (const state of dialogs) {
      const [from, to] = state.tags;
      await this.#newDialog([from, to ?? undefined]).restore(state);
    }
    this.#begun = begun;
  }

  get state(): CallState {
    const dialogs = [...this.dialogs].map(({ state }) => state);
    return { id: this.id, createdAtWallMs: this.createdAtWallMs, begun: this.#begun, dialogs };
  }

  /** Nothing of it goes on unless somebody takes the deletion back. */
  get deleted(): boolean {
    return this.dialogs.size > 0 && [...this.dialogs].every(({ deletion }) => deletion !== undefined);
  }

  /** Where an offer belongs; a new dialog if it is the first of its branch. @throws OutOfPortsError, RefusedError */
  async placeOffer(parties: Parties): Promise<Place> {
    const { fromTag, toTag, branch } = parties;
    const before = this.dialogs.size;
    const known =
      toTag === undefined ? this.#firstOffer(fromTag, branch) : await this.#within(parties, toTag);
    const place = known ?? { dialog: this.#newDialog([fromTag, toTag]), side: 0 };
    if (toTag === undefined || this.dialogs.size > before) {
      this.#assignBranch(place.dialog, branch);
    }
    return place;
  }

  /** Where an answer belongs; undefined if nothing was offered. @throws OutOfPortsError, RefusedError */
  async placeAnswer(parties: Parties): Promise<Place | undefined> {
    return parties.toTag === undefined ? undefined : this.#within(parties, parties.toTag);
  }

  /**
   * The dialogs that end when the named party leaves, none if there is no such party. As rtpengine: without a from-tag all;
   * without a to-tag the party of the branch, if that is known; else the party of the to-tag, or if there is none of the
   * from-tag; failing that the branch; and a to-tag that nobody has means the party that has not answered, if the call was never
   * forked.
   */
  partyToDelete({ fromTag, toTag, branch }: Partial<Parties>): Dialog[] {
    const dialogs = [...this.dialogs];
    if (fromTag === undefined) {
      return dialogs;
    }
    const ofBranch = dialogs.filter((dialog) => branch !== undefined && dialog.branch === branch);
    if (toTag === undefined && ofBranch.length > 0) {
      return ofBranch;
    }
    const ofTag = dialogs.filter((dialog) => dialog.sideOf(toTag ?? fromTag) !== undefined);
    if (ofTag.length > 0) {
      return ofTag;
    }
    if (ofBranch.length > 0) {
      return ofBranch;
    }
    const [only] = dialogs;
    return this.#begun === 1 && only?.tags[0] === fromTag && only.tags[1] === undefined ? [only] : [];
  }

  /** Whoever signals again has not left, nor has anybody that it talks to. */
  keep({ fromTag, toTag }: Parties): void {
    for (const dialog of this.dialogs) {
      const named = dialog.sideOf(fromTag) !== undefined || (toTag && dialog.sideOf(toTag) !== undefined);
      if (named || dialog.deletion?.ofCall) {
        dialog.deletion = undefined;
      }
    }
  }

  end(dialog: Dialog): void {
    dialog.close();
    this.dialogs.delete(dialog);
  }

  close(): void {
    for (const dialog of this.dialogs) {
      this.end(dialog);
    }
  }

  /** An INVITE that is sent again, after a challenge or along another branch, comes without a to-tag. */
  #firstOffer(fromTag: string, branch: string | undefined): Place | undefined {
    for (const dialog of this.dialogs) {
      const sameBranch = branch === undefined || dialog.branch === undefined || dialog.branch === branch;
      if (dialog.tags[0] === fromTag && sameBranch) {
        return { dialog, side: 0 };
      }
    }
    return undefined;
  }

  /**
   * The dialog of both tags, in either direction. Failing that, one of the from-tag's (of that branch, if there is one)
   * whose other party was not known yet and is now, or a fork of one. Failing that, one of the to-tag's.
   */
  async #within({ fromTag, branch }: Parties, toTag: string): Promise<Place | undefined> {
    const newestFirst = [...this.dialogs].reverse();
    const ofBranch = newestFirst.filter((dialog) => branch !== undefined && dialog.branch === branch);
    for (const dialog of [...ofBranch, ...newestFirst]) {
      const side = dialog.sideOf(fromTag);
      if (side !== undefined && dialog.tags[otherSide(side)] === toTag) {
        return { dialog, side };
      }
    }
    const candidates = ofBranch.length > 0 ? ofBranch : newestFirst;
    const waiting = candidates.filter((dialog) => dialog.tags[1] === undefined);
    for (const [tag, other, side] of [
      [fromTag, toTag, 0],
      [toTag, fromTag, 1],
    ] as const) {
      const dialog = waiting.find(({ tags }) => tags[0] === tag);
      if (dialog) {
        dialog.tags[1] = other;
        return { dialog, side };
      }
      const answered = candidates.find(({ tags }) => tags[0] === tag);
      if (answered) {
        return { dialog: await this.#fork(answered, other), side };
      }
    }
    return undefined;
  }

  async #fork(answered: Dialog, tag: string): Promise<Dialog> {
    const dialog = this.#newDialog([answered.tags[0], tag]);
    try {
      await dialog.forkFrom(answered);
    } catch (error) {
      this.end(dialog);
      throw error;
    }
    return dialog;
  }

  /** A branch means the dialog that was last begun along it. */
  #assignBranch(dialog: Dialog, branch: string | undefined): void {
    if (branch === undefined || dialog.branch !== undefined) {
      return;
    }
    for (const other of this.dialogs) {
      if (other.branch === branch) {
        other.branch = undefined;
      }
    }
    dialog.branch = branch;
  }

  #newDialog(tags: readonly [string, string | undefined]): Dialog {
    if (this.dialogs.size >= this.limits.maxDialogs) {
      throw new RefusedError(`More than ${this.limits.maxDialogs} branches of one call`);
    }
    const dialog = new Dialog(tags, this.sockets, this.limits, this.clock);
    dialog.onChange = () => this.onChange();
    dialog.onKey = (key) => this.onKey(key);
    dialog.record(this.recorder);
    this.dialogs.add(dialog);
    this.#begun++;
    return dialog;
  }
}
