/** That a timeout of a session is to be told, as a `U` says it. */
export interface TimeoutNotice {
  /** `tcp:HOST:PORT` or `unix:PATH`. */
  readonly socket: string;
  /** What is told there; URL-encoded. */
  readonly tag: string;
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
  const [, socket = '', tag = ''] = /^(\S+) (\S+)$/.exec(line) ?? [];
  return socket === '' ? undefined : { socket, tag };
}

/** A tag in the words that are told; undefined if it is not URL-encoded. */
export function decodeTag(tag: string): string | undefined {
  return /%(?![\da-f]{2})/i.test(tag)
    ? undefined
    : tag.replace(/%([\da-f]{2})/gi, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}
