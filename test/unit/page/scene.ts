import { type IncomingMessage, request } from 'node:http';
import type { ExecutionContext } from 'ava';
import { Registry } from 'prom-client';
import type { Call } from '../../../services/domain/call.js';
import { EventRing } from '../../../services/history/event-ring.js';
import { Page } from '../../../services/page/page.js';
import { type ReplicaState, shown } from '../../../services/page/state.js';
import { statusOf } from '../../../services/page/status.js';
import { HttpServer } from '../../../services/runtime/http-server.js';
import type { Answer } from '../../../services/selection/requests.js';
import { ManualClock } from '../../support/clock.js';
import { aRelay } from '../../support/registry.js';
import { openLog } from '../../support/replica.js';

export const life = 'a1b2c3d4e5f60718';

/** Of a replica with one relay, whose time only a test advances. */
export function stateAt(clock: ManualClock, of: Partial<ReplicaState> = {}): ReplicaState {
  return {
    clock,
    name: () => 'test',
    notReady: () => undefined,
    relays: () => [{ relay: aRelay(), revision: 1 }],
    isSuspect: () => false,
    gone: () => [],
    absent: () => [],
    bindings: () => new Map(),
    traffic: () => ({ newPerSecond: 0, newByRelay: new Map() }),
    feed: new EventRing(clock),
    etcd: { lost: () => undefined, lostForMs: () => 0, isLive: () => true },
    withoutQuorum: 'available',
    replicas: () => [],
    certificates: () => [],
    ...of,
  };
}

export interface Reply {
  readonly status: number | undefined;
  readonly text: string;
  readonly headers: IncomingMessage['headers'];
}

/** The page on an HTTP server of its own. */
export async function servePage(
  t: ExecutionContext,
  lookup: (call: Call, ...options: unknown[]) => Promise<Answer | undefined> = async () => undefined,
  anyHost = false,
) {
  const clock = new ManualClock();
  const feed = new EventRing(clock);
  const state = stateAt(clock, { feed });
  const page = new Page({ state: shown(state, () => statusOf(state)), selector: { lookup }, life, anyHost });
  const server = new HttpServer({
    listen: { host: '127.0.0.1', port: 0 },
    metrics: new Registry(),
    notReady: () => undefined,
    routes: page.routes,
    clock,
    log: openLog().log,
  });
  await server.start();
  t.teardown(() => server.stop());
  const open = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const [host, port] = server.address.split(':');
      request({ host, port, path, headers, method, agent: false }, resolve).on('error', reject).end();
    });
  const get = async (...of: Parameters<typeof open>): Promise<Reply> => {
    const response = await open(...of);
    let text = '';
    for await (const chunk of response.setEncoding('utf8')) {
      text += chunk;
    }
    return { status: response.statusCode, text, headers: response.headers };
  };
  return { clock, feed, server, open, get };
}
