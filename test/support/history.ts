import type { IKeyValue } from 'etcd3';
import type { EtcdConnection } from '../../services/etcd/connection.js';
import { endOfPrefix } from '../../services/etcd/range.js';
import type { Scope } from './process.js';
import { eventually, openConnection } from './registry.js';

/** The state of one key at one revision. */
export interface Version {
  readonly key: string;
  readonly revision: number;
  /** Undefined if the key was deleted. */
  readonly kv: IKeyValue | undefined;
}

/** All that happens below a prefix (which ends in '/'), by etcd's own watch: what answers are checked against. */
export class EtcdHistory {
  readonly versions: Version[] = [];
  #markers = 0;
  #reached = '';

  private constructor(
    private readonly connection: EtcdConnection,
    private readonly prefix: string,
  ) {}

  static async watch(scope: Scope, endpoint: string, prefix: string): Promise<EtcdHistory> {
    const connection = openConnection(scope, endpoint);
    const history = new EtcdHistory(connection, prefix);
    const stream = await connection.watch();
    scope.teardown(() => stream.cancel());
    stream.on('error', () => {});
    let created = false;
    stream.on('data', (response) => {
      created ||= response.created;
      for (const { type, kv } of response.events) {
        history.#add(type === 'Put', kv);
      }
    });
    stream.write({ create_request: { key: Buffer.from(prefix), range_end: endOfPrefix(prefix) } });
    await eventually(() => created, 'watch');
    return history;
  }

  /** The versions of one key, oldest first. */
  of(key: string): Version[] {
    return this.versions.filter((version) => version.key === key);
  }

  /** Resolves when everything written before has arrived. @returns etcd's revision */
  async catchUp(): Promise<number> {
    const marker = `${++this.#markers}`;
    const key = Buffer.from(`${this.prefix}marker`);
    const { revision } = await this.connection.txn({
      success: [{ request_put: { key, value: Buffer.from(marker) } }],
    });
    const deadlineMs = performance.now() + 10_000;
    while (this.#reached !== marker) {
      if (performance.now() > deadlineMs) {
        throw new Error('the history has not caught up with etcd');
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    return revision;
  }

  #add(isPut: boolean, kv: IKeyValue): void {
    const key = kv.key.toString().slice(this.prefix.length);
    if (key === 'marker') {
      this.#reached = kv.value.toString();
    } else {
      this.versions.push({ key, revision: Number(kv.mod_revision), kv: isPut ? kv : undefined });
    }
  }
}
