import { type Relay, relayKey } from '../domain/relay.js';
import type { EtcdConnection } from '../etcd/connection.js';
import { InvalidValue } from '../etcd/invalid-value.js';
import { endOfPrefix } from '../etcd/range.js';
import type { KeyValue, Operation } from '../etcd/txn-codec.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import { hasEnded } from '../runtime/process-identity.js';
import { RateLimitedWarning } from '../runtime/rate-limited-warning.js';
import { contenderCodec } from './codecs/contender.js';
import { instanceCodec } from './codecs/instance.js';
import { relayCodec } from './codecs/relay.js';
import type { Keyspace } from './keyspace.js';

export interface RivalryDeps {
  readonly connection: EtcdConnection;
  readonly keys: Keyspace;
  readonly clock: Clock;
  readonly log: Logger;
  /** Of this relay node, as `processIdentity` names it. */
  readonly node: string;
}

/** A registration that another relay node holds, and why this one has to wait for its end. */
export interface Rival {
  readonly set: string;
  readonly id: string;
  readonly reason: string;
}

/** A relay node renews its lease every quarter of 5 s: one that has not for this long is gone. */
const goneAfterSeconds = 3;
/** Contenders that are read with a load report, and registrations of one address. */
const mostContenders = 16;
const mostTwins = 16;
const warningPeriodMs = 30_000;

/**
 * Keeps two relay nodes from registering under one name, and from registering one relay twice. An address is no identity: two
 * nodes behind one address are two, whereas a node that was restarted takes over what its former self has left.
 */
export class RegistrationRivalry {
  readonly #deps: RivalryDeps;
  readonly #waiting: RateLimitedWarning;
  readonly #contested: RateLimitedWarning;

  constructor(deps: RivalryDeps) {
    this.#deps = deps;
    const warning = (message: string) =>
      new RateLimitedWarning(message, deps.clock, deps.log, warningPeriodMs);
    this.#waiting = warning('another relay node holds this registration; waiting until it is gone');
    this.#contested = warning('another relay node wants this registration; it waits until this one is gone');
  }

  /** Who has this relay's name, if it is not its own past. @throws what etcd answered */
  async holderOf(relay: Relay, registration: { value: Buffer; lease: string }): Promise<Rival | undefined> {
    const { set, id, controlUrl } = relay;
    const holder = relayCodec.decode(relayKey(set, id), registration.value);
    if (holder instanceof InvalidValue) {
      return undefined;
    }
    if (holder.controlUrl !== controlUrl) {
      const reason = `another relay is registered under this set and id, ${holder.controlUrl}: give each its own id`;
      return { set, id, reason };
    }
    return (await this.#isAlive(set, id, registration.lease))
      ? { set, id, reason: 'two relay nodes have this set and id: give each its own id' }
      : undefined;
  }

  /**
   * Another registration of the same relay that was there first.
   * @param before revision of this relay's own registration; all others are before it if there is none yet
   * @throws what etcd answered
   */
  async twinOf(
    { set, id, controlUrl }: Relay,
    before = Number.POSITIVE_INFINITY,
  ): Promise<Rival | undefined> {
    const { connection, keys } = this.#deps;
    const prefix = keys.addressOf(controlUrl);
    const range = { key: Buffer.from(prefix), range_end: endOfPrefix(prefix), limit: mostTwins };
    for (const { key, mod_revision, lease } of (await connection.range(range)).kvs) {
      const [otherSet = '', otherId = ''] = key.subarray(prefix.length).toString().split('/');
      const name = relayKey(otherSet, otherId);
      const isOlder = name !== relayKey(set, id) && Number(mod_revision) < before;
      if (isOlder && (await this.#isAlive(otherSet, otherId, lease))) {
        const reason = `this relay is registered already, as ${name}: give each relay one relay node`;
        return { set: otherSet, id: otherId, reason };
      }
    }
    return undefined;
  }

  /** Says so here, and to the node that holds the registration. @throws what etcd answered */
  async wait({ set, id, reason }: Rival, relay: Relay, lease: string): Promise<void> {
    const { connection, keys } = this.#deps;
    const { controlUrl } = relay;
    this.#waiting.warn({ holder: relayKey(set, id), controlUrl, reason });
    const value = contenderCodec.encode({ controlUrl, holder: { set, id } });
    const key = keys.contender(relay.set, relay.id);
    await connection.txn({ success: [{ request_put: { key, value, lease } }] });
  }

  /** What to do with a registration: it can be found by its address, and waits no more. */
  withRegistration({ set, id, controlUrl }: Relay, lease: string): Operation[] {
    const { keys } = this.#deps;
    const key = Buffer.from(keys.addressOf(controlUrl) + relayKey(set, id));
    return [
      { request_put: { key, value: Buffer.from('{}'), lease } },
      { request_delete_range: { key: keys.contender(set, id) } },
    ];
  }

  /** What to read with a load report, for `hear`. */
  listen(): Operation {
    const { contenders } = this.#deps.keys;
    return {
      request_range: {
        key: Buffer.from(contenders),
        range_end: endOfPrefix(contenders),
        limit: mostContenders,
      },
    };
  }

  hear({ set, id }: Relay, found: readonly KeyValue[]): void {
    const { keys } = this.#deps;
    for (const { key, value } of found) {
      const contender = contenderCodec.decode('', value);
      if (
        !(contender instanceof InvalidValue) &&
        relayKey(contender.holder.set, contender.holder.id) === relayKey(set, id)
      ) {
        const name = key.subarray(keys.contenders.length).toString();
        this.#contested.warn({ contender: name, controlUrl: contender.controlUrl });
      }
    }
  }

  /** Whether the node that wrote a registration is another one, and still there. */
  async #isAlive(set: string, id: string, lease: string): Promise<boolean> {
    const { connection, keys, node: own } = this.#deps;
    const [kv] = (await connection.range({ key: keys.instance(set, id) })).kvs;
    const record = kv && instanceCodec.decode(relayKey(set, id), kv.value);
    const node = record && !(record instanceof InvalidValue) ? record.node : '';
    if (node !== '' && (node === own || hasEnded(node))) {
      return false;
    }
    // What has no lease was put there by hand, to stay.
    return lease === '0' || (await connection.leaseAgeSeconds(lease)) < goneAfterSeconds;
  }
}
