import { registerCompletionHandler } from 'ava';

/**
 * To be imported by each file of scenarios. A gRPC channel that is closed while it connects keeps its process alive until TCP gives
 * up, which takes two minutes where a pod has gone and nobody refuses.
 */
registerCompletionHandler(() => process.exit());
