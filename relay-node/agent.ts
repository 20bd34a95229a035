import { messageOf } from '../services/domain/error.js';
import type { Load, Parting, Relay } from '../services/domain/relay.js';
import type { EtcdConnection } from '../services/etcd/connection.js';
import type { OutageLog } from '../services/etcd/outage-log.js';
import type { StartTime } from '../services/registry/codecs/instance.js';
import { isSameLife, resolveInstance, startTime } from '../services/registry/instance-id.js';
import type { Keyspace } from '../services/registry/keyspace.js';
import { RelayRegistration } from '../services/registry/relay-registration.js';
import { type Clock, sleep } from '../services/runtime/clock.js';
import type { Component } from '../services/runtime/lifecycle.js';
import type { Logger } from '../services/runtime/log.js';
import { RateLimitedWarning } from '../services/runtime/rate-limited-warning.js';
import { type AgentEvent, type AgentState, nextState, type Served, servedIn } from './agent-state.js';
import { HostCpu } from './host-cpu.js';
import { Latest } from './latest.js';
import { Prober } from './prober.js';
import type { RelayDriver, RelayStatus } from './relays/relay.js';

/** What does not change while the node runs. */
export type RelayIdentity = Omit<
  Relay,
  'instance' | 'startedAtMs' | 'state' | 'version' | 'controlUrl' | 'rtpproxyUrl' | 'kind' | 'features'
>;

export interface AgentDeps {
  readonly relay: RelayDriver;
  readonly identity: RelayIdentity;
  /** What operators say that the relay can do, in place of what it says. */
  readonly features?: readonly string[] | undefined;
  readonly connection: EtcdConnection;
  readonly keys: Keyspace;
  readonly clock: Clock;
  readonly log: Logger;
  /** Where an outage of etcd is logged; one that is shared logs it once for all. */
  readonly outages?: OutageLog;
  readonly drainDeadlineMs: number;
  /** Of the host; empty if it has none. */
  readonly bootId: string;
  /** Of this process, as `processIdentity` names it. */
  readonly node: string;
  readonly cpu?: HostCpu;
}

/** A report that did not change is repeated this often, so that its age tells whether it can be trusted. */
const reportRepeatMs = 5000;
/** That etcd was restored is told for so long: replicas that are there correct what it has, and others start by then. */
const restoredForMs = 3_600_000;
const drainPollMs = 1000;
const warningPeriodMs = 60_000;

/**
 * Watches one relay: registers it while it is well, reports its load, drains it. The prober asks the
 * relay and never waits for etcd; the reporter follows in etcd with what is true by then.
 */
export class Agent implements Component {
  readonly #deps: AgentDeps;
  readonly #log: Logger;
  readonly #prober: Prober;
  readonly #reporter: Latest;
  readonly #cpu: HostCpu;
  readonly #warnings: Record<'reporting', RateLimitedWarning>;
  #state: AgentState = { name: 'searching' };
  #startedAtMs: number | undefined;
  #hasRegistered = false;
  /** What etcd has up to that revision it has from before it was wiped or restored, which this node has noticed. */
  #restored: { readonly revision: number; readonly atMs: number } | undefined;
  #reported: { readonly load: Load; readonly of: Served; readonly atMs: number } | undefined;
  /** Resolves when every registration that was given up has been revoked, or cannot be. */
  #revoked: Promise<unknown> = Promise.resolve();
  #stopped: Promise<void> | undefined;

  constructor(deps: AgentDeps) {
    this.#deps = deps;
    const { relay, clock } = deps;
    const log = deps.log.child({ relay: deps.identity.id, set: deps.identity.set });
    this.#log = log;
    this.#cpu = deps.cpu ?? new HostCpu();
    this.#reporter = new Latest(() => this.#report());
    this.#prober = new Prober({
      relay,
      clock,
      log,
      onStatus: (status) => this.#seen(status),
      onSilent: () => this.#on({ name: 'silent' }),
    });
    deps.connection.onHistoryChange(({ revision }) => {
      this.#restored = { revision, atMs: clock.monotonicMs() };
      this.#reporter.changed();
    });
    const warning = (message: string) => new RateLimitedWarning(message, clock, log, warningPeriodMs);
    this.#warnings = {
      reporting: warning('relay not registered or reported; trying again'),
    };
  }

  /** Why the node is not ready, or undefined if its relay is registered and well. */
  get notReady(): string | undefined {
    const state = this.#state;
    if (state.name === 'draining' || state.name === 'stopped') {
      return state.name;
    }
    if (!this.#prober.status) {
      return `the relay at ${this.#deps.relay.controlUrl} does not answer`;
    }
    return servedIn(state)?.registration.registered ? undefined : 'not registered in etcd';
  }

  /** Concurrent calls by the last status; undefined before the first, and while the relay does not answer. */
  get calls(): number | undefined {
    return this.#prober.status?.calls;
  }

  /**
   * Age of the last report in etcd, s: it is repeated every 5 s. Grows while the relay does not answer or is not
   * registered, and while etcd refuses writes, which its keepalives do not show.
   */
  get reportAgeSeconds(): number {
    const nowMs = this.#deps.clock.monotonicMs();
    return (nowMs - (this.#reported?.atMs ?? this.#startedAtMs ?? nowMs)) / 1000;
  }

  /** Begins to watch the relay; returns without waiting for it. @throws why the relay cannot be used */
  async start(): Promise<void> {
    const { relay } = this.#deps;
    await relay.start();
    const { controlUrl, rtpproxyUrl, kind } = relay;
    this.#log.info({ controlUrl, rtpproxyUrl, kind }, 'watching the relay');
    relay.onExit?.((exit) => {
      this.#prober.lost();
      this.#on({ name: 'ended', exit });
    });
    this.#cpu.use();
    this.#startedAtMs = this.#deps.clock.monotonicMs();
    this.#prober.start();
  }

  /** Publishes draining, waits for the relay's calls to end up to the deadline, revokes. */
  stop(): Promise<void> {
    this.#stopped ??= this.#drain();
    return this.#stopped;
  }

  /** Leaves the relay, its calls and its registration to the process that is started next; where calls would end, drains. */
  handOver(): Promise<void> {
    const { leave } = this.#deps.relay;
    if (!leave) {
      this.#log.warn('calls would end with this process: draining instead');
      return this.stop();
    }
    this.#stopped ??= this.#leave(leave);
    return this.#stopped;
  }

  #on(event: AgentEvent): void {
    const before = servedIn(this.#state);
    this.#state = nextState(this.#state, event);
    if (before && servedIn(this.#state) !== before) {
      const stopped = before.registration.stop(partingOf(event)).catch(() => undefined);
      this.#revoked = Promise.all([this.#revoked, stopped]);
    }
  }

  #seen(status: RelayStatus): void {
    this.#on({ name: 'answering' });
    const served = servedIn(this.#state);
    if (served && !this.#isServed(served, status)) {
      this.#log.warn('the relay has restarted: its sessions are lost, and it gets a new instance');
      this.#on({ name: 'restarted' });
    }
    this.#reporter.changed();
  }

  /** Tells etcd how things are now. */
  async #report(): Promise<void> {
    try {
      const state = this.#state;
      if (state.name === 'searching' || (state.name === 'draining' && !state.served)) {
        await this.#identify();
      }
      const served = servedIn(this.#state);
      if (served && this.#prober.status) {
        await this.#reportLoad(served, this.#prober.status);
      }
    } catch (error) {
      if (!this.#deps.outages?.isOn) {
        this.#warnings.reporting.warn({ reason: messageOf(error) });
      }
    }
  }

  /** Finds out which life the relay is in, and begins to register it, unless the relay went away meanwhile. */
  async #identify(): Promise<void> {
    const { relay, identity, connection, keys, clock, log, node, outages } = this.#deps;
    const state = this.#state;
    const { status } = this.#prober;
    if (!status) {
      return;
    }
    await this.#revoked;
    const features = this.#deps.features ?? (await relay.features());
    const start = this.#startOf(status);
    const instance =
      status.instance ??
      (await resolveInstance({ connection, keys }, identity, start, relay.recall?.bind(relay)));
    if (this.#state !== state) {
      return;
    }
    const { kind, controlUrl, rtpproxyUrl } = relay;
    const registration = new RelayRegistration(
      { connection, keys, clock, log, node, ...(outages && { outages }) },
      {
        ...identity,
        kind,
        controlUrl,
        rtpproxyUrl,
        features,
        instance,
        version: status.version,
        startedAtMs: start.wallMs,
        state: state.name === 'draining' ? 'draining' : 'active',
      },
      start,
    );
    registration.start();
    this.#hasRegistered = true;
    this.#on({ name: 'identified', served: { instance, start, registration } });
  }

  #isServed({ instance, start }: Served, status: RelayStatus): boolean {
    return status.instance === undefined
      ? isSameLife(start, this.#startOf(status))
      : status.instance === instance;
  }

  #startOf({ startedAtMs }: RelayStatus): StartTime {
    return startTime(this.#deps.clock, this.#deps.bootId, startedAtMs);
  }

  async #reportLoad(served: Served, { calls, packetRate, kernelPacketRate }: RelayStatus): Promise<void> {
    const { clock } = this.#deps;
    const last = this.#reported?.of === served ? this.#reported : undefined;
    const restoredRevision = this.#restoredRevision();
    const unchanged =
      last?.load.calls === calls &&
      last.load.packetRate === packetRate &&
      last.load.restoredRevision === restoredRevision;
    if (last && unchanged && clock.monotonicMs() - last.atMs < reportRepeatMs) {
      return;
    }
    const cpu = Math.round(100 * this.#cpu.use()) / 100;
    const { pingMs = 0 } = this.#prober;
    const load: Load = {
      calls,
      cpu,
      packetRate,
      kernelPacketRate,
      pingMs: Math.round(10 * pingMs) / 10,
      ...(restoredRevision !== undefined && { restoredRevision }),
      atMs: clock.wallMs(),
    };
    if (await served.registration.report(load)) {
      this.#reported = { load, of: served, atMs: clock.monotonicMs() };
    }
  }

  /** As long as it matters: replicas correct what they know to be restored. */
  #restoredRevision(): number | undefined {
    const ageMs = this.#deps.clock.monotonicMs() - (this.#restored?.atMs ?? Number.NEGATIVE_INFINITY);
    return ageMs < restoredForMs ? this.#restored?.revision : undefined;
  }

  async #drain(): Promise<void> {
    const { clock, relay, drainDeadlineMs } = this.#deps;
    this.#on({ name: 'stop' });
    // It never began to watch the relay: whatever calls that has are not its own to wait for.
    if (this.#startedAtMs !== undefined) {
      const draining = this.#publishDraining();
      // Nobody was told of the relay: its calls are not from here.
      await this.#waitForCalls(clock.monotonicMs() + (this.#hasRegistered ? drainDeadlineMs : 0));
      await draining;
      await this.#prober.stop();
    }
    this.#on({ name: 'drained' });
    await Promise.all([this.#reporter.idle(), this.#revoked]);
    await relay.stop();
  }

  async #leave(leave: () => Promise<void>): Promise<void> {
    await this.#prober.stop();
    await Promise.all([servedIn(this.#state)?.registration.leave(), this.#revoked]);
    await leave();
  }

  async #publishDraining(): Promise<void> {
    try {
      await servedIn(this.#state)?.registration.drain();
    } catch (error) {
      this.#log.warn({ reason: messageOf(error) }, 'cannot publish that the relay is draining');
    }
  }

  /** A call may be bound already whose offer has not reached the relay: idle counts when it is seen twice. */
  async #waitForCalls(deadlineMs: number): Promise<void> {
    const { clock, relay } = this.#deps;
    const remainingMs = () => Math.max(0, deadlineMs - clock.monotonicMs());
    for (let idle = 0; idle < 2 && remainingMs() > 0; ) {
      await sleep(clock, Math.min(drainPollMs, remainingMs()));
      const calls = await relay.status().then(
        (status) => status.calls,
        // A relay that does not answer has nothing left to wait for.
        () => 0,
      );
      idle = calls === 0 ? idle + 1 : 0;
      if (calls > 0) {
        this.#log.info({ calls, remainingMs: Math.round(remainingMs()) }, 'draining');
      }
    }
  }
}

/** What the last report of a life says. */
function partingOf(event: AgentEvent): Parting | undefined {
  switch (event.name) {
    case 'ended':
      return { departure: event.name, exit: event.exit };
    case 'silent':
    case 'restarted':
      return { departure: event.name };
    default:
      return undefined;
  }
}
