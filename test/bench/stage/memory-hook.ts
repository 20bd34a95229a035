/** Loaded into a replica before its own code: tells what is in use after a collection, whenever it gets SIGUSR2. */
process.on('SIGUSR2', () => {
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  process.stderr.write(`bench-used-bytes ${heapUsed + external}\n`);
});
