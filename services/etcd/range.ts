/** The end of the range of all keys with this prefix. It ends in '/', so that its last byte can be incremented. */
export function endOfPrefix(prefix: string): Buffer {
  const end = Buffer.from(prefix);
  const last = end.length - 1;
  end[last] = (end[last] as number) + 1;
  return end;
}
