import type { Intent } from '../domain/relay.js';
import type { EtcdConnection } from '../etcd/connection.js';
import { etcdUnavailable } from '../etcd/errors.js';
import { intentCodec } from './codecs/intent.js';
import type { Keyspace } from './keyspace.js';

/** Writes what operators want of relays. The last writer wins. */
export class IntentStore {
  constructor(
    private readonly connection: EtcdConnection,
    private readonly keys: Keyspace,
  ) {}

  /** An undefined intent removes it. @throws HoldfastError `unavailable` */
  async set(set: string, id: string, intent: Intent | undefined): Promise<void> {
    const key = this.keys.intent(set, id);
    const operation = intent
      ? { request_put: { key, value: intentCodec.encode(intent) } }
      : { request_delete_range: { key } };
    await this.connection.txn({ success: [operation] }).catch((error) => {
      throw etcdUnavailable('writing the intent', error);
    });
  }
}
