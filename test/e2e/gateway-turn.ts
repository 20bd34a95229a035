import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Scope } from '../support/process.js';

/** A name that one process can hold, until it ends, however it ends. */
const name = '\0holdfast-gateway-scene';

/**
 * Scenes promise answers in time, and each takes most of a small machine: test files that run side by side have theirs one
 * after the other. Resolves when it is this one's turn, which lasts until everything else of the scope has ended.
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
