import { messageOf } from '../domain/error.js';
import type { Load, Relay } from '../domain/relay.js';
import type { EtcdConnection } from '../etcd/connection.js';
import { LeaseSession } from '../etcd/lease-session.js';
import type { Operation } from '../etcd/txn-codec.js';
import { type Clock, sleep } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import { decodeRelay, encodeInstance, encodeLoad, encodeRelay } from './codecs.js';
import type { Keyspace } from './keyspace.js';

export const registrationTtlSeconds = 5;
const retryMs = { first: 200, most: 1000 };
const strangerPollMs = 1000;

export interface RegistrationDeps {
  readonly connection: EtcdConnection;
  readonly keys: Keyspace;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Keeps one relay registered: under a lease, again and again after whatever ended the lease, with the same instance
 * each time, so that a registry outage moves no call. One registration object is one life of the media process.
 */
export class RelayRegistration {
  readonly #deps: RegistrationDeps;
  readonly #log: Logger;
  readonly #stopping = new AbortController();
  #relay: Relay;
  #load: Load | undefined;
  #session: LeaseSession | undefined;
  /** Mod revision of the registration that stands, 0 while none does. */
  #revision = 0;
  /** What it says. */
  #published: Relay | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #running: Promise<void> | undefined;

  constructor(deps: RegistrationDeps, relay: Relay) {
    this.#deps = deps;
    this.#relay = relay;
    this.#log = deps.log.child({ relay: relay.id, set: relay.set, instance: relay.instance });
  }

  /** True while the registration stands, by this node's own clock: it may take new calls. */
  get registered(): boolean {
    const session = this.#session;
    return this.#revision > 0 && session !== undefined && !session.ended && session.remainingMs > 0;
  }

  /** Begins to register; returns at once, and tries until stopped. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Revokes the registration, so that replicas hear at once; resolves when that was done or proved impossible. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#session?.close();
    await this.#running;
  }

  /**
   * Publishes that the relay takes no new calls. Resolves when etcd has it, or at once if not registered: then the
   * next registration says so. @throws what etcd answered; then the next report says so
   */
  drain(): Promise<void> {
    this.#relay = { ...this.#relay, state: 'draining' };
    return this.#inTurn(async () => {
      if (this.#session && this.registered) {
        await this.#register(this.#session);
      }
    });
  }

  /**
   * Publishes a load report. If the registration is gone, or does not say what it should, it is written again, under
   * the lease that stands: a relay that vanished for a moment would lose its calls to others.
   * @returns whether the report is in etcd @throws what etcd answered
   */
  report(load: Load): Promise<boolean> {
    this.#load = load;
    return this.#inTurn(async () => {
      const session = this.#session;
      if (!session || !this.registered) {
        return false;
      }
      if (this.#published === this.#relay && (await this.#putLoad(session, load))) {
        return true;
      }
      this.#log.warn('the registration in etcd is gone, or not what it should be; writing it again');
      if (await this.#register(session)) {
        return true;
      }
      await session.close();
      return false;
    });
  }

  async #run(): Promise<void> {
    const { clock } = this.#deps;
    const { signal } = this.#stopping;
    let failures = 0;
    while (!signal.aborted) {
      try {
        const session = await this.#openSession();
        if (signal.aborted) {
          break;
        }
        if (await this.#inTurn(() => this.#register(session))) {
          failures = 0;
          const reason = await session.done;
          this.#revision = 0;
          if (!signal.aborted) {
            this.#log.warn({ reason }, 'registration lost; registering again');
          }
        } else {
          await sleep(clock, strangerPollMs, signal);
        }
      } catch (error) {
        failures++;
        if (failures === 1 || failures % 30 === 0) {
          this.#log.warn({ reason: messageOf(error), failures }, 'not registered; trying again');
        }
        const delay = Math.min(retryMs.most, retryMs.first * 2 ** Math.min(failures - 1, 10));
        await sleep(clock, delay * (0.5 + Math.random()), signal);
      }
    }
    // Stopped while the lease was being granted: nobody else closes it.
    await this.#session?.close();
  }

  /**
   * The session that there is, or a new one. An old one is never revoked here: its registration may stand still, and
   * to take it over leaves no gap.
   */
  async #openSession(): Promise<LeaseSession> {
    if (!this.#session || this.#session.ended) {
      this.#session = await LeaseSession.open({ ...this.#deps, log: this.#log }, registrationTtlSeconds);
    }
    return this.#session;
  }

  /** Each write is guarded by the revision that the one before made, so they go one by one. */
  #inTurn<T>(write: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(write, write);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** False if the registration is not what this node wrote last. */
  async #putLoad({ lease }: LeaseSession, load: Load): Promise<boolean> {
    const { connection, keys } = this.#deps;
    const { set, id } = this.#relay;
    const { succeeded } = await connection.txn({
      compare: [{ result: 'Equal', target: 'Mod', key: keys.relay(set, id), mod_revision: this.#revision }],
      success: [{ request_put: { key: keys.loadOf(set, id), value: encodeLoad(load), lease } }],
    });
    return succeeded;
  }

  /** False if another relay holds the name. @throws what etcd answered */
  async #register(session: LeaseSession): Promise<boolean> {
    const { connection, keys } = this.#deps;
    const key = keys.relay(this.#relay.set, this.#relay.id);
    const [standing] = (await connection.range({ key })).kvs;
    const holder = standing && decodeRelay(`${this.#relay.set}/${this.#relay.id}`, standing.value);
    // Nobody else can hold the same control address: that is this relay's own past, whose lease is not over yet.
    if (holder && holder.controlUrl !== this.#relay.controlUrl) {
      this.#log.error(
        { holder: { instance: holder.instance, controlUrl: holder.controlUrl } },
        'another relay is registered under this set and id; waiting until it is gone (give each relay its own id)',
      );
      return false;
    }
    if (!(await this.#put(session, Number(standing?.mod_revision ?? 0)))) {
      return false;
    }
    this.#log.info({ controlUrl: this.#relay.controlUrl, revision: this.#revision }, 'registered');
    return true;
  }

  /** Writes registration, load and life, if the registration is still what was seen. */
  async #put(session: LeaseSession, expected: number): Promise<boolean> {
    const { connection, keys } = this.#deps;
    const relay = this.#relay;
    const { set, id, instance, startedAtMs } = relay;
    const key = keys.relay(set, id);
    const { lease } = session;
    const success: Operation[] = [
      { request_put: { key, value: encodeRelay(relay), lease } },
      { request_put: { key: keys.instance(set, id), value: encodeInstance({ instance, startedAtMs }) } },
    ];
    if (this.#load) {
      success.push({ request_put: { key: keys.loadOf(set, id), value: encodeLoad(this.#load), lease } });
    }
    const { succeeded, revision } = await connection.txn({
      compare: [{ result: 'Equal', target: 'Mod', key, mod_revision: expected }],
      success,
    });
    // A session that ended meanwhile takes what it wrote along.
    if (succeeded && !session.ended) {
      this.#revision = revision;
      this.#published = relay;
    }
    return succeeded;
  }
}
