import { HoldfastClient, type HoldfastClientOptions } from '../../services/client/index.js';

/** Over a new connection each time: what an attack may leave no room for. */
export function goodClient(address: string, options: HoldfastClientOptions = {}) {
  let calls = 0;
  return async () => {
    const client = new HoldfastClient(address, { attemptTimeoutMs: 2000, ...options });
    try {
      await client.select({ callId: `good-${calls++ % 10}` });
    } finally {
      client.close();
    }
  };
}
