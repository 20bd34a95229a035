/** A process's samples for Prometheus, by name including the labels as printed. */
export async function scrape(url: string): Promise<ReadonlyMap<string, number>> {
  const reply = await fetch(url, { signal: AbortSignal.timeout(5000) });
  const samples = new Map<string, number>();
  for (const line of (await reply.text()).split('\n')) {
    const blank = line.lastIndexOf(' ');
    if (blank > 0 && !line.startsWith('#')) {
      samples.set(line.slice(0, blank), Number(line.slice(blank + 1)));
    }
  }
  return samples;
}
