/** That a timeout of a session, or a key that is pressed in it, is to be told, as a `U` says it. */
export interface TimeoutNotice {
  /** `tcp:HOST:PORT` or `unix:PATH`. */
  readonly socket: string;
  /** What is told there; URL-encoded. */
  readonly tag: string;
  /** What is told behind it of a key: digit, volume, duration, and the side that has pressed it (RFC 4733 section 2.3). */
  readonly event?: string;
}

/**
 * A notice as the tag of another one: a relay tells it to the gateway, which reads in it whom to tell what. So any gateway can
 * pass it on, also one that has restarted since.
 */
export function wrapNotice({ socket, tag }: TimeoutNotice): string {
  return `${socket} ${tag}`.replace(/[% ]/g, (character) => (character === '%' ? '%25' : '%20'));
}

/** The inverse of `wrapNotice`, once the relay has decoded it; undefined for anything else. */
export function unwrapNotice(line: string): TimeoutNotice | undefined {
  const [, socket = '', tag = '', event] = /^(\S+) (\S+)((?: \d{1,5}){4})?$/.exec(line) ?? [];
  return socket === '' ? undefined : { socket, tag, ...(event === undefined ? {} : { event }) };
}

/** A tag in the words that are told; undefined if it is not URL-encoded. */
export function decodeTag(tag: string): string | undefined {
  return /%(?![\da-f]{2})/i.test(tag)
    ? undefined
    : tag.replace(/%([\da-f]{2})/gi, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}
