import { messageOf } from '../domain/error.js';
import type { Load, Parting, Relay } from '../domain/relay.js';
import { isAsSeen } from '../etcd/compare.js';
import type { EtcdConnection } from '../etcd/connection.js';
import { LeaseSession } from '../etcd/lease-session.js';
import { OutageLog } from '../etcd/outage-log.js';
import type { Operation } from '../etcd/txn-codec.js';
import { Backoff } from '../runtime/backoff.js';
import { type Clock, sleep } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import { RateLimitedWarning } from '../runtime/rate-limited-warning.js';
import { StateMachine, type Transitions } from '../runtime/state-machine.js';
import { instanceCodec, type StartTime } from './codecs/instance.js';
import { loadCodec } from './codecs/load.js';
import { relayCodec } from './codecs/relay.js';
import type { Keyspace } from './keyspace.js';
import { RegistrationRivalry } from './registration-rivalry.js';

export const registrationTtlSeconds = 5;
/** Between attempts to register while etcd does not answer, and while another relay node holds the registration. */
const retryPause = { firstMs: 200, mostMs: 1000 };
const heldPause = { firstMs: 1000, mostMs: 1000 };
const warningPeriodMs = 30_000;
/** How long a registration that ends waits for etcd to take down why: it must not stay for that. */
const partingMs = 250;

export interface RelayRegistrationDeps {
  readonly connection: EtcdConnection;
  readonly keys: Keyspace;
  readonly clock: Clock;
  readonly log: Logger;
  /** Of this relay node, as `processIdentity` names it. */
  readonly node: string;
  /** Where an outage of etcd is logged; one that is shared logs it once for all. */
  readonly outages?: OutageLog;
}

type RegistrationState =
  /** Not started. */
  | { readonly name: 'idle' }
  /** Started, without a lease. */
  | { readonly name: 'leaseless' }
  /** With a lease and no registration: it is about to be written, or another relay node holds it. */
  | { readonly name: 'leased'; readonly session: LeaseSession }
  /** Registered under the lease. `revision` is etcd's mod revision of the registration, `published` what it says. */
  | {
      readonly name: 'registered';
      readonly session: LeaseSession;
      readonly revision: number;
      readonly published: Relay;
    }
  /** For good. */
  | { readonly name: 'stopped' };

const transitions: Transitions<RegistrationState> = {
  idle: ['leaseless', 'stopped'],
  leaseless: ['leased', 'stopped'],
  leased: ['registered', 'leaseless', 'stopped'],
  // To itself when the registration is written again: changed, or restored after somebody removed it.
  registered: ['registered', 'leaseless', 'stopped'],
  stopped: [],
};

/**
 * Keeps one relay registered: under a lease, again after whatever ended the lease, and with the same instance each time,
 * so that an outage of the registry moves no call. One object is for one life of the media process.
 */
export class RelayRegistration {
  readonly #deps: RelayRegistrationDeps;
  readonly #log: Logger;
  readonly #start: StartTime;
  readonly #outages: OutageLog;
  readonly #invalidLoad: RateLimitedWarning;
  readonly #machine = new StateMachine<RegistrationState>({ name: 'idle' }, transitions);
  readonly #rivalry: RegistrationRivalry;
  readonly #stopping = new AbortController();
  #relay: Relay;
  /** The last valid load report, encoded. */
  #load: Load | undefined;
  /** The last write of the queue: each is guarded by the revision that the one before it made. */
  #lastWrite: Promise<unknown> = Promise.resolve();
  #running: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;

  constructor(deps: RelayRegistrationDeps, relay: Relay, start: StartTime) {
    const log = deps.log.child({ relay: relay.id, set: relay.set, instance: relay.instance });
    this.#deps = deps;
    this.#relay = relay;
    this.#start = start;
    this.#log = log;
    this.#rivalry = new RegistrationRivalry({ ...deps, log });
    this.#outages = deps.outages ?? new OutageLog(deps.clock, log);
    this.#invalidLoad = new RateLimitedWarning(
      'the load report is invalid; skipped',
      deps.clock,
      log,
      warningPeriodMs,
    );
  }

  /** True while the registration is valid by this node's own clock: the relay may get new calls. */
  get registered(): boolean {
    const { state } = this.#machine;
    return state.name === 'registered' && !state.session.ended && state.session.remainingMs > 0;
  }

  /** Begins to register; returns at once, and tries until stopped. */
  start(): void {
    if (this.#machine.state.name === 'idle') {
      this.#machine.enter({ name: 'leaseless' });
      this.#running = this.#run();
    }
  }

  /**
   * Revokes the registration, so that replicas hear at once, and first says why, where that is given. Resolves when that
   * is done or has proved impossible.
   */
  stop(parting?: Parting): Promise<void> {
    this.#stopped ??= this.#stop(parting);
    return this.#stopped;
  }

  /** Leaves the registration to the process that is started next, which has what is left of its TTL for that. */
  leave(): Promise<void> {
    const { state } = this.#machine;
    if (state.name === 'registered') {
      state.session.leave();
    }
    return this.stop();
  }

  /**
   * Publishes that the relay takes no new calls. Resolves when etcd has it, or at once if the relay is not registered:
   * the next registration says so then. @throws what etcd answered; the next report says so then
   */
  drain(): Promise<void> {
    this.#relay = { ...this.#relay, state: 'draining' };
    return this.#inTurn(async () => {
      const { state } = this.#machine;
      if (state.name === 'registered' && this.registered) {
        await this.#register(state.session);
      }
    });
  }

  /**
   * Publishes a load report. If the registration is gone, or does not say what it should, it is written again under the
   * same lease: a relay that disappeared for a moment would lose its calls to others. A report that replicas would
   * reject is logged and skipped.
   * @returns whether the report is in etcd @throws what etcd answered
   */
  async report(load: Load): Promise<boolean> {
    let encoded: Buffer;
    try {
      encoded = loadCodec.encode(load);
    } catch (error) {
      this.#invalidLoad.warn({ reason: messageOf(error) });
      return false;
    }
    this.#load = load;
    return await this.#inTurn(async () => {
      const { state } = this.#machine;
      if (state.name !== 'registered' || !this.registered) {
        return false;
      }
      const { session, revision, published } = state;
      if (published === this.#relay && (await this.#putLoad(session, revision, encoded))) {
        return true;
      }
      this.#log.warn('the registration in etcd is missing or outdated; writing it again');
      if (await this.#register(session)) {
        return true;
      }
      await session.close();
      return false;
    });
  }

  async #stop(parting: Parting | undefined): Promise<void> {
    const { state } = this.#machine;
    this.#machine.enter({ name: 'stopped' });
    this.#stopping.abort();
    if (state.name === 'registered' && parting && !state.session.ended) {
      const told = this.#tellParting(state, parting).catch(() => undefined);
      await Promise.race([told, sleep(this.#deps.clock, partingMs)]);
    }
    if (state.name === 'leased' || state.name === 'registered') {
      await state.session.close();
    }
    await this.#running;
    this.#outages.recovered(this);
  }

  /** In a last report. @throws what etcd answered: the reason is a lost lease then */
  async #tellParting(
    { session, revision }: Extract<RegistrationState, { name: 'registered' }>,
    parting: Parting,
  ): Promise<void> {
    const unknown = { calls: 0, cpu: 0, packetRate: 0, atMs: this.#deps.clock.wallMs() };
    await this.#putLoad(session, revision, loadCodec.encode({ ...(this.#load ?? unknown), ...parting }));
  }

  async #run(): Promise<void> {
    const { clock } = this.#deps;
    const { signal } = this.#stopping;
    const retry = new Backoff(retryPause, clock);
    const held = new Backoff(heldPause, clock);
    while (!signal.aborted) {
      try {
        const session = await this.#leasedSession();
        if (signal.aborted) {
          // The lease was granted during the stop, which does not know it.
          await session.close();
          break;
        }
        if (await this.#inTurn(() => this.#register(session))) {
          retry.reset();
          this.#outages.recovered(this);
          const reason = await session.done;
          if (!signal.aborted) {
            this.#machine.enter({ name: 'leaseless' });
            this.#outages.consequence(this.#log, { reason }, 'registration lost; registering again');
          }
        } else {
          this.#outages.recovered(this);
          await this.#withdraw(session);
          await held.pause(signal);
        }
      } catch (error) {
        this.#outages.failed(this, { reason: messageOf(error) });
        await retry.pause(signal);
      }
    }
  }

  /** Takes back a registration that must not be, if one was written. */
  async #withdraw(session: LeaseSession): Promise<void> {
    if (this.#machine.state.name === 'registered') {
      this.#machine.enter({ name: 'leaseless' });
      await session.close();
    }
  }

  /**
   * The session that there is, or a new one. An old one is never revoked here: its registration may still exist, and to
   * take that over leaves no gap.
   */
  async #leasedSession(): Promise<LeaseSession> {
    const { state } = this.#machine;
    // Also one that is registered: etcd may have been lost right after it had written the registration.
    if (state.name === 'leased' || state.name === 'registered') {
      if (!state.session.ended) {
        return state.session;
      }
      this.#machine.enter({ name: 'leaseless' });
    }
    const session = await LeaseSession.open({ ...this.#deps, log: this.#log }, registrationTtlSeconds);
    if (!this.#stopping.signal.aborted) {
      this.#machine.enter({ name: 'leased', session });
    }
    return session;
  }

  #inTurn<T>(write: () => Promise<T>): Promise<T> {
    const result = this.#lastWrite.then(write, write);
    this.#lastWrite = result.catch(() => undefined);
    return result;
  }

  /** False if the registration is not what this node wrote last. */
  async #putLoad({ lease }: LeaseSession, revision: number, load: Buffer): Promise<boolean> {
    const { connection, keys } = this.#deps;
    const { set, id } = this.#relay;
    const { succeeded, responses } = await connection.txn({
      compare: isAsSeen(keys.relay(set, id), revision, lease),
      success: [{ request_put: { key: keys.loadOf(set, id), value: load, lease } }, this.#rivalry.listen()],
    });
    if (succeeded) {
      this.#rivalry.hear(this.#relay, responses[1]?.response_range?.kvs ?? []);
    }
    return succeeded;
  }

  /** False if another relay node holds the registration. @throws what etcd answered */
  async #register(session: LeaseSession): Promise<boolean> {
    const { connection, keys } = this.#deps;
    const relay = this.#relay;
    const { set, id, controlUrl } = relay;
    const [kv] = (await connection.range({ key: keys.relay(set, id) })).kvs;
    const rival = (kv && (await this.#rivalry.holderOf(relay, kv))) ?? (await this.#rivalry.twinOf(relay));
    if (rival) {
      await this.#rivalry.wait(rival, relay, session.lease);
      return false;
    }
    const revision = await this.#put(session, kv);
    if (revision === undefined) {
      return false;
    }
    // Two that registered one relay at the same time both see it now, and the later one gives way.
    if (await this.#rivalry.twinOf(relay, revision)) {
      return false;
    }
    this.#log.info({ controlUrl, revision }, 'registered');
    return true;
  }

  /**
   * Writes registration, instance and load, if the registration is still the one that was seen.
   * @param seen undefined if there was none
   * @returns the new mod revision
   */
  async #put(
    session: LeaseSession,
    seen: { readonly mod_revision: string; readonly lease: string } | undefined,
  ): Promise<number | undefined> {
    const { connection, keys } = this.#deps;
    const relay = this.#relay;
    const { set, id, instance } = relay;
    const key = keys.relay(set, id);
    const { lease } = session;
    const record = { instance, start: this.#start, node: this.#deps.node };
    const success: Operation[] = [
      { request_put: { key, value: relayCodec.encode(relay), lease } },
      { request_put: { key: keys.instance(set, id), value: instanceCodec.encode(record) } },
      ...this.#rivalry.withRegistration(relay, lease),
    ];
    if (this.#load) {
      success.push({
        request_put: { key: keys.loadOf(set, id), value: loadCodec.encode(this.#load), lease },
      });
    }
    const { succeeded, revision } = await connection.txn({
      compare: isAsSeen(key, Number(seen?.mod_revision ?? 0), seen?.lease),
      success,
    });
    if (!succeeded) {
      return undefined;
    }
    // When it was stopped or a session has ended meanwhile, the lease takes with it what was written.
    if (!session.ended && !this.#stopping.signal.aborted) {
      this.#machine.enter({ name: 'registered', session, revision, published: relay });
    }
    return revision;
  }
}
