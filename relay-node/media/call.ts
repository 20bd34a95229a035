import type { Clock } from '../../services/runtime/clock.js';
import { Dialog, type DialogLimits, RefusedError } from './dialog.js';
import type { MediaSockets } from './sockets.js';
import { otherSide, type Side } from './stream.js';

/** The tags and branch of one ng request; the tags are those of the SIP request that it stems from. */
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
  /** Dialogs of one call: each branch that a proxy offers separately is one. */
  readonly maxDialogs: number;
}

/** All media of one Call-ID. */
export class Call {
  readonly dialogs = new Set<Dialog>();
  /** Ends when the last request about this call has been carried out: they are taken one at a time. */
  queue: Promise<unknown> = Promise.resolve();
  /** Requests in that queue. */
  busy = 0;
  /** An offer was accepted. */
  established = false;
  readonly createdAtWallMs: number;

  constructor(
    readonly id: string,
    private readonly sockets: MediaSockets,
    private readonly limits: CallLimits,
    private readonly clock: Clock,
  ) {
    this.createdAtWallMs = clock.wallMs();
  }

  /** Where an offer belongs; a new dialog if it is the first of its branch. */
  placeOffer({ fromTag, toTag, branch }: Parties): Place {
    const known =
      toTag === undefined ? this.#firstOffer(fromTag, branch) : this.#within(fromTag, toTag, branch);
    if (known) {
      return known;
    }
    if (this.dialogs.size >= this.limits.maxDialogs) {
      throw new RefusedError(`More than ${this.limits.maxDialogs} branches of one call`);
    }
    const dialog = new Dialog(fromTag, branch, this.sockets, this.limits, this.clock);
    if (toTag !== undefined) {
      dialog.addTag(1, toTag);
    }
    this.dialogs.add(dialog);
    return { dialog, side: 0 };
  }

  /** Where an answer belongs; undefined if nothing was offered. */
  placeAnswer({ fromTag, toTag, branch }: Parties): Place | undefined {
    return toTag === undefined ? undefined : this.#within(fromTag, toTag, branch);
  }

  /**
   * Ends what the tags and the branch name, and says whether there was anything. Of several answers of a
   * forked call that share a dialog, each BYE takes away one, and the last one the dialog.
   */
  delete(fromTag: string | undefined, toTag: string | undefined, branch: string | undefined): boolean {
    const ofBranch =
      branch === undefined ? [] : [...this.dialogs].filter((dialog) => dialog.branch === branch);
    const candidates = ofBranch.length > 0 ? ofBranch : [...this.dialogs];
    let found = false;
    for (const dialog of candidates) {
      const side = fromTag === undefined ? 0 : sideFor(dialog, fromTag, toTag);
      if (side === undefined) {
        continue;
      }
      found = true;
      const others = dialog.tags[otherSide(side)];
      const othersRemain =
        fromTag !== undefined && toTag !== undefined && others.delete(toTag) && others.size > 0;
      if (!othersRemain) {
        this.end(dialog);
      }
    }
    return found;
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
      if (!dialog.tags[0].has(fromTag)) {
        continue;
      }
      if (branch === undefined || dialog.branch === undefined || dialog.branch === branch) {
        return { dialog, side: 0 };
      }
    }
    return undefined;
  }

  /**
   * The dialog of both tags, in either direction; failing that, one that knows one of the tags: the
   * newest of that branch, which learns the other tag.
   */
  #within(fromTag: string, toTag: string, branch: string | undefined): Place | undefined {
    const newestFirst = [...this.dialogs].reverse();
    const ordered = [
      ...newestFirst.filter((dialog) => branch !== undefined && dialog.branch === branch),
      ...newestFirst.filter((dialog) => branch === undefined || dialog.branch !== branch),
    ];
    for (const dialog of ordered) {
      for (const side of [0, 1] as const) {
        if (dialog.tags[side].has(fromTag) && dialog.tags[otherSide(side)].has(toTag)) {
          return { dialog, side };
        }
      }
    }
    for (const dialog of ordered) {
      const side = dialog.sideOf(fromTag);
      if (side === undefined) {
        continue;
      }
      dialog.addTag(otherSide(side), toTag);
      return { dialog, side };
    }
    for (const dialog of ordered) {
      const toSide = dialog.sideOf(toTag);
      if (toSide === undefined || dialog.tags[otherSide(toSide)].size > 0) {
        continue;
      }
      dialog.addTag(otherSide(toSide), fromTag);
      return { dialog, side: otherSide(toSide) };
    }
    return undefined;
  }
}

/** The side of the from-tag, if the to-tag does not name another dialog. */
function sideFor(dialog: Dialog, fromTag: string, toTag: string | undefined): Side | undefined {
  for (const side of [0, 1] as const) {
    if (!dialog.tags[side].has(fromTag)) {
      continue;
    }
    const others = dialog.tags[otherSide(side)];
    if (toTag === undefined || others.size === 0 || others.has(toTag)) {
      return side;
    }
  }
  return undefined;
}
