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
  readonly selfSize: number;
  readonly children: readonly ProfileNode[];
}

function sizeOf({ selfSize, children }: ProfileNode): number {
  return children.reduce((sum, child) => sum + sizeOf(child), selfSize);
}

process.on('SIGUSR2', () => {
  session.post('HeapProfiler.getSamplingProfile', (error, answer) => {
    const bytes = error ? Number.NaN : sizeOf(answer.profile.head);
    process.stderr.write(`bench-used-bytes ${bytes}\n`);
  });
});
