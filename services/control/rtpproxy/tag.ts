/**
 * A tag of SIP, with the number of the stream where a call has several: `FROM;2`. rtpproxy keeps a session for each number, and
 * a `D` without one ends them all.
 */
export interface StreamTag {
  readonly tag: string;
  /** From 1; undefined if the tag has none. */
  readonly stream: number | undefined;
}

export function parseTag(word: string): StreamTag {
  const [, tag = word, number] = /^(.+);(\d{1,4})$/s.exec(word) ?? [];
  return { tag, stream: number === undefined ? undefined : Number(number) };
}

/** The tag without the number of a stream. */
export function tagOf(word: string): string {
  return parseTag(word).tag;
}
