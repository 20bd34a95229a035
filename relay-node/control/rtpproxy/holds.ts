import type { Dialog } from '../../media/dialog.js';
import type { Side } from '../../media/side.js';

/** What keeps a session: a plain `U` keeps it until a plain `D`, a weak one of either party until that party's weak `D`. */
export class Holds {
  readonly #kept = new WeakMap<Dialog, { isStrong: boolean; readonly weak: [boolean, boolean] }>();

  /** A `U` or `L` has been accepted; a plain `L` keeps nothing. */
  keep(dialog: Dialog, side: Side, { isWeak, isUpdate }: { isWeak: boolean; isUpdate: boolean }): void {
    const kept = this.#kept.get(dialog) ?? { isStrong: false, weak: [false, false] };
    kept.isStrong ||= isUpdate && !isWeak;
    kept.weak[side] ||= isWeak;
    this.#kept.set(dialog, kept);
  }

  /** @returns whether nothing keeps the session any more */
  release(dialog: Dialog, side: Side, isWeak: boolean): boolean {
    const kept = this.#kept.get(dialog);
    if (!kept) {
      return true;
    }
    if (isWeak) {
      kept.weak[side] = false;
    } else {
      kept.isStrong = false;
    }
    return !kept.isStrong && !kept.weak.includes(true);
  }
}
