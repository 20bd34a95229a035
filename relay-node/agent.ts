import { availableParallelism, loadavg } from 'node:os';
import { messageOf } from '../services/domain/error.js';
import type { Load, Relay } from '../services/domain/relay.js';
import type { EtcdConnection } from '../services/etcd/connection.js';
import { resolveInstance } from '../services/registry/instance-id.js';
import type { Keyspace } from '../services/registry/keyspace.js';
import { RelayRegistration } from '../services/registry/relay-registration.js';
import { type Clock, sleep } from '../services/runtime/clock.js';
import type { Component } from '../services/runtime/lifecycle.js';
import type { Logger } from '../services/runtime/log.js';
import type { RelayDriver, RelayStatus } from './relays/relay.js';

/** What does not change while the node runs. */
export type RelayIdentity = Omit<
  Relay,
  'instance' | 'startedAtMs' | 'state' | 'version' | 'controlUrl' | 'kind'
>;

export interface AgentDeps {
  readonly probe: RelayDriver;
  readonly identity: RelayIdentity;
  readonly connection: EtcdConnection;
  readonly keys: Keyspace;
  readonly clock: Clock;
  readonly log: Logger;
  readonly drainDeadlineMs: number;
}

/** A proxy that asks for a call of a dead relay is kept waiting until the relay is known to be dead, 850 ms at most. */
const pingPeriodMs = 250;
/** After a miss the next ping comes sooner: a relay that died is known in a fraction of a second. */
const pingAfterMissMs = 100;
const missesToUnhealthy = 3;
const statusPeriodMs = 1000;
/** A report that did not change is repeated this often, so that its age tells whether it can be trusted. */
const reportRepeatMs = 5000;
/** Lives whose starts are told further apart than this are two. rtpengine tells its uptime in whole seconds. */
const sameStartMs = 1500;

/** Watches one relay: registers it while it is well, reports its load, keeps its bindings, drains it. */
export class Agent implements Component {
  readonly #deps: AgentDeps;
  readonly #log: Logger;
  readonly #stopping = new AbortController();
  #registration: RelayRegistration | undefined;
  #hasRegistered = false;
  #life: { readonly instance: string; readonly startedAtMs: number } | undefined;
  #misses = 0;
  #draining = false;
  #status: RelayStatus | undefined;
  #reported: { readonly load: Load; readonly atMs: number } | undefined;
  /** Failures in a row. */
  readonly #troubles = { looking: 0 };
  #running: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;

  constructor(deps: AgentDeps) {
    this.#deps = deps;
    this.#log = deps.log.child({ relay: deps.identity.id, set: deps.identity.set });
  }

  /** Why the node is not ready, or undefined if its relay is registered and well. */
  get notReady(): string | undefined {
    if (this.#draining) {
      return 'draining';
    }
    if (!this.#life) {
      return `the relay at ${this.#deps.probe.controlUrl} does not answer`;
    }
    return this.#registration?.registered ? undefined : 'not registered in etcd';
  }

  /** Concurrent calls by the last status; undefined before the first. */
  get calls(): number | undefined {
    return this.#status?.calls;
  }

  /** Begins to watch the relay; returns without waiting for it. */
  async start(): Promise<void> {
    await this.#deps.probe.start();
    this.#log.info(
      { controlUrl: this.#deps.probe.controlUrl, kind: this.#deps.probe.kind },
      'watching the relay',
    );
    this.#running = this.#run();
  }

  /** Publishes draining, waits for the relay's calls to end up to the deadline, revokes. */
  stop(): Promise<void> {
    this.#stopped ??= this.#drain();
    return this.#stopped;
  }

  async #run(): Promise<void> {
    const { clock } = this.#deps;
    const { signal } = this.#stopping;
    let statusAtMs = Number.NEGATIVE_INFINITY;
    while (!signal.aborted) {
      const well = await this.#ping();
      if (signal.aborted) {
        break;
      }
      if (well && clock.monotonicMs() - statusAtMs >= statusPeriodMs) {
        statusAtMs = clock.monotonicMs();
        await this.#look();
      }
      await sleep(clock, well ? pingPeriodMs : pingAfterMissMs, signal);
    }
  }

  async #ping(): Promise<boolean> {
    try {
      await this.#deps.probe.ping();
      if (this.#misses >= missesToUnhealthy) {
        this.#log.info('the relay answers again');
      }
      this.#misses = 0;
      return true;
    } catch (error) {
      this.#misses++;
      if (this.#misses === missesToUnhealthy) {
        this.#log.error({ reason: messageOf(error), misses: this.#misses }, 'the relay does not answer');
        await this.#unregister();
      }
      return false;
    }
  }

  /** Reads how the relay is doing, and tells etcd what follows from it. */
  async #look(): Promise<void> {
    const { probe, clock } = this.#deps;
    try {
      const status = await probe.status();
      this.#status = status;
      const restarted = this.#life && Math.abs(this.#life.startedAtMs - status.startedAtMs) > sameStartMs;
      if (restarted) {
        this.#log.warn('the relay has restarted: its sessions are lost, and it gets a new instance');
        await this.#unregister();
      }
      if (!this.#registration) {
        await this.#register(status);
      }
      await this.#report(status);
      this.#troubles.looking = 0;
    } catch (error) {
      this.#trouble('looking', { reason: messageOf(error) }, 'relay not looked at; trying again');
    }
  }

  async #register(status: RelayStatus): Promise<void> {
    const { probe, identity, connection, keys, clock, log } = this.#deps;
    const startedAtMs = clock.wallMs() - (clock.monotonicMs() - status.startedAtMs);
    const instance =
      status.instance ?? (await resolveInstance(connection, keys, identity, startedAtMs)).instance;
    this.#life = { instance, startedAtMs: status.startedAtMs };
    const relay: Relay = {
      ...identity,
      kind: probe.kind,
      controlUrl: probe.controlUrl,
      instance,
      version: status.version,
      startedAtMs: Math.round(startedAtMs),
      state: this.#draining ? 'draining' : 'active',
    };
    this.#reported = undefined;
    this.#registration = new RelayRegistration({ connection, keys, clock, log }, relay);
    this.#registration.start();
    this.#hasRegistered = true;
  }

  async #unregister(): Promise<void> {
    const registration = this.#registration;
    this.#registration = undefined;
    this.#life = undefined;
    await registration?.stop();
  }

  async #report({ calls, packetRate }: RelayStatus): Promise<void> {
    const { clock } = this.#deps;
    const load: Load = {
      calls,
      cpu: Math.round((100 * (loadavg()[0] ?? 0)) / availableParallelism()) / 100,
      packetRate,
      atMs: clock.wallMs(),
    };
    const last = this.#reported;
    const unchanged = last && last.load.calls === calls && last.load.packetRate === packetRate;
    if (unchanged && clock.monotonicMs() - last.atMs < reportRepeatMs) {
      return;
    }
    if (await this.#registration?.report(load)) {
      this.#reported = { load, atMs: clock.monotonicMs() };
    }
  }

  /** One line when a trouble begins and now and then while it lasts, not one per attempt. */
  #trouble(what: 'looking', details: object, message: string): void {
    const failures = ++this.#troubles[what];
    if (failures === 1 || failures % 60 === 0) {
      this.#log.warn({ ...details, failures }, message);
    }
  }

  async #drain(): Promise<void> {
    const { clock, probe, drainDeadlineMs } = this.#deps;
    this.#draining = true;
    // It never began to watch the relay: whatever calls that has are not its own to wait for.
    if (!this.#running) {
      return probe.stop();
    }
    // Nobody was told of the relay: its calls are not from here.
    const deadlineMs = clock.monotonicMs() + (this.#hasRegistered ? drainDeadlineMs : 0);
    await this.#registration?.drain().catch((error) => {
      this.#log.warn({ reason: messageOf(error) }, 'draining not published');
    });
    // A call may be bound already whose offer has not reached the relay: idle counts when it is seen twice.
    for (let idle = 0; idle < 2 && clock.monotonicMs() < deadlineMs; ) {
      await sleep(clock, Math.min(statusPeriodMs, Math.max(0, deadlineMs - clock.monotonicMs())));
      const calls = await probe.status().then(
        (status) => status.calls,
        () => undefined,
      );
      // A relay that does not answer has nothing left to wait for.
      idle = calls === 0 || calls === undefined ? idle + 1 : 0;
      if (calls) {
        this.#log.info({ calls, remainingMs: Math.round(deadlineMs - clock.monotonicMs()) }, 'draining');
      }
    }
    this.#stopping.abort();
    await this.#running;
    await this.#unregister();
    await probe.stop();
  }
}
