import { HoldfastError } from '../domain/error.js';
import type { Intents } from '../domain/membership.js';
import { type Intent, relayKey } from '../domain/relay.js';
import { modRevisionIs } from '../etcd/compare.js';
import type { EtcdConnection } from '../etcd/connection.js';
import { etcdUnavailable } from '../etcd/errors.js';
import { InvalidValue } from '../etcd/invalid-value.js';
import { intentCodec } from './codecs/intent.js';
import type { Keyspace } from './keyspace.js';

/** Several operators rarely change one relay at once. */
const maxAttempts = 5;

/** Writes what operators want of relays. */
export class IntentStore implements Intents {
  constructor(
    private readonly connection: EtcdConnection,
    private readonly keys: Keyspace,
  ) {}

  async update(
    set: string,
    id: string,
    change: (before: Intent | undefined) => Intent | undefined,
  ): Promise<Intent | undefined> {
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      const { before, revision } = await this.#read(set, id);
      const intent = change(before);
      if (await this.#write(set, id, intent, revision)) {
        return intent;
      }
    }
    throw new HoldfastError(
      'unavailable',
      `the intent for ${relayKey(set, id)} changed ${maxAttempts} times while this was written`,
    );
  }

  /** A value that cannot be read counts as none, and is replaced. */
  async #read(set: string, id: string): Promise<{ before: Intent | undefined; revision: number }> {
    const range = this.connection.range({ key: this.keys.intent(set, id) });
    const { kvs } = await range.catch((error) => {
      throw etcdUnavailable('reading the intent', error);
    });
    const [kv] = kvs;
    const decoded = kv && intentCodec.decode(relayKey(set, id), kv.value);
    const before = decoded instanceof InvalidValue ? undefined : decoded;
    return { before, revision: Number(kv?.mod_revision ?? 0) };
  }

  /** False if somebody else has changed it. */
  async #write(set: string, id: string, intent: Intent | undefined, expected: number): Promise<boolean> {
    const key = this.keys.intent(set, id);
    const operation = intent
      ? { request_put: { key, value: intentCodec.encode(intent) } }
      : { request_delete_range: { key } };
    const txn = this.connection.txn({
      compare: [modRevisionIs({ key, revision: expected })],
      success: [operation],
    });
    const { succeeded } = await txn.catch((error) => {
      throw etcdUnavailable('writing the intent', error);
    });
    return succeeded;
  }
}
