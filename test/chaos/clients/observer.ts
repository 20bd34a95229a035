import { HoldfastClient } from '../../../services/client/index.js';
import { NgClient } from '../../../services/control/ng/client.js';
import type { Scope } from '../../support/process.js';
import { nowMs } from '../record/now.js';
import type { HistorySink } from '../record/recorder.js';
import type { Stage } from '../stage/stage.js';
import { wait } from '../wait.js';

const censusPeriodMs = 5000;
const probePeriodMs = 500;
const listTimeoutMs = 2000;
/** A relay of a run carries some hundreds. */
const mostCalls = 100_000;

interface Asked<T> {
  readonly name: string;
  readonly client: T;
}

/** Asks relays what they carry, past gateways and proxies, and replicas which relays there are; and records what they say. */
export class Observer {
  readonly #history: HistorySink;
  readonly #relays: readonly Asked<NgClient>[];
  readonly #replicas: readonly Asked<HoldfastClient>[];

  constructor(scope: Scope, { relays, replicas }: Stage, history: HistorySink) {
    this.#history = history;
    this.#relays = relays.map(({ id, port }) => ({
      name: id,
      client: new NgClient({ host: '127.0.0.1', port, timeoutMs: listTimeoutMs, retransmitMs: 500 }),
    }));
    this.#replicas = replicas.map(({ name, grpc }) => ({
      name,
      client: new HoldfastClient(grpc, { attempts: 1, attemptTimeoutMs: listTimeoutMs }),
    }));
    for (const { client } of this.#relays) {
      scope.teardown(() => client.stop());
    }
    for (const { client } of this.#replicas) {
      scope.teardown(() => client.close());
    }
  }

  async start(): Promise<void> {
    await Promise.all(this.#relays.map(({ client }) => client.start()));
  }

  /** Takes a census again and again until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.takeCensus();
      await wait(censusPeriodMs, signal);
    }
  }

  /** Relays that do not answer are left out. */
  async takeCensus(): Promise<void> {
    await Promise.all(
      this.#relays.map(async ({ name, client }) => {
        const askedAtMs = nowMs();
        const reply = await client.request({ command: 'list', limit: mostCalls }).catch(() => undefined);
        if (Array.isArray(reply?.['calls'])) {
          const calls = reply['calls'].map(String);
          this.#history.write({ type: 'census', askedAtMs, atMs: nowMs(), relay: name, calls });
        }
      }),
    );
  }

  /** Asks each replica until it lists all relays from etcd, or this time has passed. */
  async probe(timeoutMs: number): Promise<void> {
    const untilMs = performance.now() + timeoutMs;
    await Promise.all(
      this.#replicas.map(async ({ name, client }) => {
        while (performance.now() < untilMs) {
          const reply = await client.listRelays('default').catch(() => undefined);
          if (reply) {
            const relays = reply.relays.map(({ id }) => id);
            this.#history.write({ type: 'probe', atMs: nowMs(), replica: name, fresh: reply.fresh, relays });
            if (reply.fresh && this.#relays.every((relay) => relays.includes(relay.name))) {
              return;
            }
          }
          await new Promise((resolve) => setTimeout(resolve, probePeriodMs));
        }
      }),
    );
  }
}
