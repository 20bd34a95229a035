import { RetryQueue } from '../../../services/gateway/retry-queue.js';

/** Tries nothing again that a relay did not answer. */
RetryQueue.prototype.schedule = () => {};
