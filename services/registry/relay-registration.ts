import type { IRequestOp } from 'etcd3';
import { messageOf } from '../domain/error.js';
import type { Load, Relay } from '../domain/relay.js';
import { type Clock, sleep } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import type { EtcdConnection } from './connection.js';
import type { Keyspace } from './keyspace.js';
import { LeaseSession } from './lease-session.js';
import { decodeRelay, encodeLife, encodeLoad, encodeRelay } from './values.js';

export const registrationTtlSeconds = 5;
const retryMs = { first: 200, most: 2_000 };

export interface RegistrationParts {
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
  readonly #parts: RegistrationParts;
  readonly #log: Logger;
  readonly #stopping = new AbortController();
  #relay: Relay;
  #load: Load | undefined;
  #session: LeaseSession | undefined;
  /** Mod revision of the registration that stands, 0 while none does. */
  #revision = 0;
  #running: Promise<void> | undefined;

  constructor(parts: RegistrationParts, relay: Relay) {
    this.#parts = parts;
    this.#relay = relay;
    this.#log = parts.log.child({ relay: relay.id, set: relay.set, instance: relay.instance });
  }

  /** True while the registration stands, by this node's own clock: it may take new calls. */
  get registered(): boolean {
    return this.#revision > 0 && (this.#session?.remainingMs ?? 0) > 0;
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

  /** Publishes that the relay takes no new calls. Resolves when etcd has it, or at once if not registered. */
  async drain(): Promise<void> {
    this.#relay = { ...this.#relay, state: 'draining' };
    if (this.#session && this.#revision > 0) await this.#put(this.#session, this.#revision);
  }

  /**
   * Publishes a load report; if the registration turns out to be gone, registers again.
   * @returns whether the report is in etcd @throws what etcd answered
   */
  async report(load: Load): Promise<boolean> {
    this.#load = load;
    const { connection, keys } = this.#parts;
    const { set, id } = this.#relay;
    const session = this.#session;
    if (!session || !this.registered) return false;
    const { succeeded } = await connection.txn({
      compare: [{ result: 'Equal', target: 'Mod', key: keys.relay(set, id), mod_revision: this.#revision }],
      success: [
        { request_put: { key: keys.loadOf(set, id), value: encodeLoad(load), lease: session.lease } },
      ],
    });
    if (succeeded) return true;
    this.#log.warn('the registration was removed or replaced in etcd; registering again');
    this.#revision = 0;
    await session.close();
    return false;
  }

  async #run(): Promise<void> {
    const { clock } = this.#parts;
    const { signal } = this.#stopping;
    let failures = 0;
    while (!signal.aborted) {
      try {
        const session = await LeaseSession.open({ ...this.#parts, log: this.#log }, registrationTtlSeconds);
        this.#session = session;
        // Stopped while the lease was being granted: nobody else will close it.
        if (signal.aborted) return await session.close();
        if (await this.#register(session)) {
          failures = 0;
          const reason = await session.done;
          this.#revision = 0;
          if (!signal.aborted) this.#log.warn({ reason }, 'registration lost; registering again');
        } else {
          await session.close();
          await sleep(clock, 1_000, signal);
        }
      } catch (error) {
        await this.#session?.close();
        failures++;
        if (failures === 1 || failures % 30 === 0)
          this.#log.warn({ reason: messageOf(error), failures }, 'not registered; trying again');
        const delay = Math.min(retryMs.most, retryMs.first * 2 ** Math.min(failures - 1, 10));
        await sleep(clock, delay * (0.5 + Math.random()), signal);
      }
    }
  }

  /** False if another relay holds the name. @throws what etcd answered */
  async #register(session: LeaseSession): Promise<boolean> {
    const { connection, keys } = this.#parts;
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
    if (!(await this.#put(session, Number(standing?.mod_revision ?? 0)))) return false;
    this.#log.info({ controlUrl: this.#relay.controlUrl, revision: this.#revision }, 'registered');
    return true;
  }

  /** Writes registration, load and life, if the registration is still what was seen. */
  async #put(session: LeaseSession, expected: number): Promise<boolean> {
    const { connection, keys } = this.#parts;
    const { set, id, instance, startedAtMs } = this.#relay;
    const key = keys.relay(set, id);
    const { lease } = session;
    const success: IRequestOp[] = [
      { request_put: { key, value: encodeRelay(this.#relay), lease } },
      { request_put: { key: keys.life(set, id), value: encodeLife({ instance, startedAtMs }) } },
    ];
    if (this.#load)
      success.push({ request_put: { key: keys.loadOf(set, id), value: encodeLoad(this.#load), lease } });
    const { succeeded, header } = await connection.txn({
      compare: [{ result: 'Equal', target: 'Mod', key, mod_revision: expected }],
      success,
    });
    if (succeeded) this.#revision = Number(header.revision);
    return succeeded;
  }
}
