import { type ByteString, fromWire } from './byte-string.js';

export interface KeyRange {
  readonly from: ByteString;
  /** The end, exclusive; '' means no end; undefined means the single key `from`. */
  readonly to: ByteString | undefined;
}

/** etcd writes "no end" as the one byte 0, and "only this key" as an empty range_end. */
export function keyRange(key: Buffer, rangeEnd: Buffer | undefined): KeyRange {
  const end = rangeEnd ? fromWire(rangeEnd) : '';
  return { from: fromWire(key), to: end === '' ? undefined : end === '\0' ? '' : end };
}

export function contains(range: KeyRange, key: ByteString): boolean {
  if (range.to === undefined) {
    return key === range.from;
  }
  return key >= range.from && (range.to === '' || key < range.to);
}
