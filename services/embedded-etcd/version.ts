import type { ByteString } from './byte-string.js';

/** A lease id is any signed 64-bit number except 0, beyond what a JavaScript number holds exactly. */
export type LeaseId = bigint;
export const noLease: LeaseId = 0n;

/** One key as of one revision; a deletion is a version too, with `version` 0 (a tombstone). */
export interface Version {
  readonly key: ByteString;
  readonly value: ByteString;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly version: number;
  readonly lease: LeaseId;
  /** The version that this one replaced, until compaction drops it. */
  older: Version | undefined;
}

export const isTombstone = (version: Version): boolean => version.version === 0;

/** The bytes accounted for a version; the constant covers the objects around the two strings. */
export const sizeOf = (version: Version): number => version.key.length + version.value.length + 160;

/** The key as it was at a revision; undefined if it did not exist then. */
export function asOf(newest: Version | undefined, revision: number): Version | undefined {
  let version = newest;
  while (version && version.modRevision > revision) {
    version = version.older;
  }
  return version && !isTombstone(version) ? version : undefined;
}
