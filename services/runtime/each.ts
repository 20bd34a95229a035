/**
 * Works on all items, at most so many at once. What has not begun when the signal aborts is left out.
 * @throws what `work` throws first; what is under way then goes on
 */
export async function each<T extends object>(
  items: readonly T[],
  mostAtOnce: number,
  work: (item: T) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  const waiting = [...items];
  const worker = async () => {
    for (let next = waiting.pop(); next && !signal?.aborted; next = waiting.pop()) {
      await work(next);
    }
  };
  await Promise.all(Array.from({ length: Math.min(mostAtOnce, waiting.length) }, worker));
}
