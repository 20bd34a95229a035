import type { Intent } from '../domain/relay.js';
import type { EtcdConnection } from '../etcd/connection.js';
import { etcdUnavailable } from '../etcd/errors.js';
import { encodeIntent } from './codecs.js';
import type { Keyspace } from './keyspace.js';

/** What operators want of relays. The last writer wins: an intent is a wish, not a count. */
export class IntentStore {
  constructor(
    private readonly connection: EtcdConnection,
    private readonly keys: Keyspace,
  ) {}

  /** An undefined intent removes it. @throws HoldfastError `unavailable` */
  async set(set: string, id: string, intent: Intent | undefined): Promise<void> {
    const key = this.keys.intent(set, id);
    const operation = intent
      ? { request_put: { key, value: encodeIntent(intent) } }
      : { request_delete_range: { key } };
    await this.connection.txn({ success: [operation] }).catch((error) => {
      throw etcdUnavailable('writing the intent', error);
    });
  }
}
