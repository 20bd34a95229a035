/** Deletes the entry that was set first, if there are more than so many. */
export function dropOldest(map: Map<string, unknown>, limit: number): void {
  const [oldest] = map.size > limit ? map.keys() : [];
  if (oldest !== undefined) {
    map.delete(oldest);
  }
}
