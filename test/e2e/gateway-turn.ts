import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Scope } from '../support/process.js';

/** A name that one process holds until it ends, however it ends. */
const name = '\0holdfast-gateway-scene';

/**
 * Scenes check response times, and each takes most of a small machine, so scenes of parallel test files take turns.
 * Resolves when it is the turn of this one, which lasts until everything else in the scope has ended.
 */
export async function ownTurn(scope: Scope): Promise<void> {
  for (;;) {
    const server = createServer();
    const taken = await Promise.race([
      once(server.listen(name), 'listening').then(() => false),
      once(server, 'error').then(() => true),
    ]).catch(() => true);
    if (!taken) {
      scope.teardown(async () => {
        await new Promise((resolve) => server.close(resolve));
      });
      return;
    }
    await delay(100);
  }
}
