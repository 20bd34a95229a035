import type { Etcd3, IRangeRequest } from 'etcd3';
import { EmbeddedEtcd } from '../../services/embedded-etcd/embedded-etcd.js';
import { InvalidValue } from '../../services/etcd/invalid-value.js';
import { PrefixMirror } from '../../services/etcd/prefix-mirror.js';
import { silentLogger } from '../../services/runtime/log.js';
import { ManualClock } from '../support/clock.js';
import { Gate } from '../support/command.js';
import { connect } from '../support/etcd.js';
import { FaultyConnection } from '../support/faulty-connection.js';
import type { Scope } from '../support/process.js';
import { newKeyspace } from '../support/registry.js';
import { TcpProxy } from '../support/tcp-proxy.js';

export const isJunk = (value: string) => value.startsWith('junk');

export interface Told {
  readonly name: string;
  /** "value@revision"; undefined if the key was deleted. */
  readonly text: string | undefined;
}

/** One server for all cases, each with its own prefix. */
export class Server {
  private constructor(
    readonly endpoint: string,
    readonly client: Etcd3,
    readonly clock: ManualClock,
  ) {}

  static async start(scope: Scope): Promise<Server> {
    const clock = new ManualClock();
    const etcd = new EmbeddedEtcd({ clock });
    await etcd.start();
    scope.teardown(() => etcd.stop());
    return new Server(etcd.endpoint, connect(scope, etcd.endpoint), clock);
  }
}

/** Its lists and watches go through a proxy and their own gates. */
class GatedConnection extends FaultyConnection {
  readonly lists = new Gate();
  readonly watches = new Gate();

  /** The answer waits, and may be outdated when it arrives. */
  override async range(request: IRangeRequest) {
    const answer = await super.range(request);
    await this.lists.passed();
    return answer;
  }

  override async watch() {
    await this.watches.passed();
    return await super.watch();
  }
}

/** A view of a prefix, and everything that can happen to it. */
export class World {
  readonly prefix = newKeyspace().relays;
  readonly clock = new ManualClock();
  told: Told[] = [];
  lease = '';
  refreshing: Promise<void> = Promise.resolve();
  view: PrefixMirror<string>;

  private constructor(
    readonly server: Server,
    readonly proxy: TcpProxy,
    readonly connection: GatedConnection,
  ) {
    this.view = this.#newView();
  }

  static async open(scope: Scope, server: Server): Promise<World> {
    const proxy = await TcpProxy.start(scope, server.endpoint);
    const connection = new GatedConnection(proxy.endpoint);
    scope.teardown(() => connection.close());
    const world = new World(server, proxy, connection);
    scope.teardown(() => {
      world.restore();
      return world.view.stop();
    });
    await world.pump(world.view.start());
    return world;
  }

  /** "name → value@revision" in the view. */
  get shown(): Map<string, string> {
    return new Map(
      [...this.view.entries].map(([name, { value, revision }]) => [name, `${value}@${revision}`]),
    );
  }

  /** A new, empty view of the same prefix. */
  async restartView(): Promise<void> {
    const before = this.view;
    await before.stop();
    this.told = [];
    this.view = this.#newView();
    await this.pump(this.view.start());
  }

  /** Undoes all disturbances. */
  restore(): void {
    this.proxy.restore();
    this.connection.restore();
    this.connection.lists.open();
    this.connection.watches.open();
  }

  /** Lets the view's time pass until the task is done. */
  async pump(done: Promise<unknown> | (() => boolean)): Promise<void> {
    let isDone = false;
    if (typeof done !== 'function') {
      void done.finally(() => {
        isDone = true;
      });
    }
    const deadlineMs = performance.now() + 10_000;
    while (!(typeof done === 'function' ? done() : isDone)) {
      if (performance.now() > deadlineMs) {
        throw new Error('the view is not up to date after 10 s');
      }
      // Slower than the view's timeouts, but not than its delays between attempts.
      this.clock.advance(30);
      await new Promise((resolve) => setTimeout(resolve, 3));
    }
    await done;
  }

  /** @returns etcd's revision afterwards */
  async write(
    operations: readonly { readonly name: string; readonly value?: string; readonly lease?: string }[],
  ) {
    const { header } = await this.server.client.kv.txn({
      success: operations.map(({ name, value, lease = '0' }) => {
        const key = Buffer.from(this.prefix + name);
        return value === undefined
          ? { request_delete_range: { key } }
          : { request_put: { key, value: Buffer.from(value), lease } };
      }),
    });
    return Number(header.revision);
  }

  async revision(): Promise<number> {
    const { header } = await this.server.client.kv.range({ key: Buffer.from(this.prefix) });
    return Number(header.revision);
  }

  #newView(): PrefixMirror<string> {
    const { prefix, clock, connection, told } = this;
    return new PrefixMirror<string>(
      { connection, clock, log: silentLogger },
      {
        prefix,
        decode: (_name, value) => (isJunk(value.toString()) ? new InvalidValue('junk') : value.toString()),
        onChange: (name, entry) => told.push({ name, text: entry && `${entry.value}@${entry.revision}` }),
      },
    );
  }
}
