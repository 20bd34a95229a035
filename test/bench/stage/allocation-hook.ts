import { Session } from 'node:inspector';

/** Preloaded into a replica: on SIGUSR2 it prints how much it has allocated on the heap since it began, collected or not. */
const session = new Session();
session.connect();
session.post('HeapProfiler.startSampling', {
  samplingInterval: 16 * 1024,
  includeObjectsCollectedByMajorGC: true,
  includeObjectsCollectedByMinorGC: true,
} as object);

interface ProfileNode {
  readonly callFrame: { readonly url: string };
  readonly selfSize: number;
  readonly children: readonly ProfileNode[];
}

/** Without what the measurement allocates itself: a profile is a tree of many objects. */
function sizeOf({ callFrame, selfSize, children }: ProfileNode): number {
  const isOurs = callFrame.url === import.meta.url;
  return isOurs ? 0 : children.reduce((sum, child) => sum + sizeOf(child), selfSize);
}

process.on('SIGUSR2', () => {
  session.post('HeapProfiler.getSamplingProfile', (error, answer) => {
    const bytes = error ? Number.NaN : sizeOf(answer.profile.head);
    process.stderr.write(`bench-used-bytes ${bytes}\n`);
  });
});
