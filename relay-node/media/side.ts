/** 0 is the party that made the dialog's first offer, 1 the other. */
export type Side = 0 | 1;

export function otherSide(side: Side): Side {
  return side === 0 ? 1 : 0;
}
