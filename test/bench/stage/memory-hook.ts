/** Preloaded into a replica: on SIGUSR2 it prints the memory in use after a garbage collection. */
process.on('SIGUSR2', () => {
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  process.stderr.write(`bench-used-bytes ${heapUsed + external}\n`);
});
