import { randomUUID } from 'node:crypto';
import type { ControlRequest } from '../../services/control/protocol.js';
import type { RegisteredRelay } from '../../services/domain/relay.js';
import type { Asked, RelayAccess } from '../../services/gateway/relay-clients.js';
import { type ManualClock, turns } from '../support/clock.js';

/** What a relay does with the requests of SIP proxies. */
export interface RelayModel {
  /** Calls that it knows. */
  readonly callIds: readonly string[];
  /** No new calls. */
  isFull: boolean;
  /** No ports. */
  isOutOfPorts: boolean;
  /** Its process has died, or was started again. */
  forgetAll(): void;
  /** @param body of a request @returns that of the reply */
  answer(body: Buffer): Buffer;
}

/** One relay process, and what waits in its socket while it is paused. */
export interface Host<Model> {
  readonly id: string;
  instance: string;
  readonly model: Model;
  state: 'up' | 'paused' | 'dead';
  readonly waiting: (() => void)[];
}

/** Relays of one machine, by id, and the way to them. */
export class ModelRelays<Model extends RelayModel> implements RelayAccess {
  readonly #hosts: ReadonlyMap<string, Host<Model>>;
  #outstanding = 0;
  #silent = 0;

  constructor(
    ids: readonly string[],
    private readonly clock: ManualClock,
    newModel: () => Model,
  ) {
    this.#hosts = new Map(ids.map((id) => [id, newHost(id, newModel())]));
  }

  /** Requests that are not answered yet. */
  get outstanding(): number {
    return this.#outstanding;
  }

  /** Those of them for which nothing but time is left. */
  get silent(): number {
    return this.#silent;
  }

  host(id: string): Host<Model> {
    const host = this.#hosts.get(id);
    if (!host) {
      throw new Error(`no relay ${id}`);
    }
    return host;
  }

  /** Relays that know the call. */
  carriersOf(callId: string): string[] {
    return [...this.#hosts.values()]
      .filter(({ model }) => model.callIds.includes(callId))
      .map(({ id }) => id);
  }

  kill(id: string): void {
    const host = this.host(id);
    host.state = 'dead';
    host.waiting.length = 0;
    host.model.forgetAll();
  }

  /** A new life. */
  restart(id: string): void {
    this.kill(id);
    Object.assign(this.host(id), { state: 'up', instance: randomUUID() });
  }

  /** It does what it was asked meanwhile, in order. */
  resume(id: string): void {
    const host = this.host(id);
    host.state = 'up';
    for (const handle of host.waiting.splice(0)) {
      handle();
    }
  }

  async ask({ relay }: RegisteredRelay, request: ControlRequest, timeoutMs: number): Promise<Asked> {
    if (this.host(relay.id).instance !== relay.instance) {
      return { kind: 'refused', reason: 'not registered any more' };
    }
    const reply = await this.request(relay.id, (model) => model.answer(request.body), timeoutMs);
    return typeof reply === 'string' ? { kind: reply, reason: 'said the model' } : { kind: 'replied', reply };
  }

  isSilent(): boolean {
    return false;
  }

  unspoken(): readonly string[] {
    return [];
  }

  whyUnspoken(): undefined {
    return undefined;
  }

  /**
   * As over UDP, from whomever.
   * @param handle what it does once the request has reached it
   */
  async request<Reply extends object>(
    id: string,
    handle: (model: Model) => Reply,
    timeoutMs: number,
  ): Promise<Reply | 'refused' | 'silent'> {
    const host = this.host(id);
    this.#outstanding++;
    try {
      await turns(1);
      if (host.state === 'dead') {
        return 'refused';
      }
      return host.state === 'up' ? handle(host.model) : await this.#late(host, handle, timeoutMs);
    } finally {
      this.#outstanding--;
    }
  }

  async #late<Reply extends object>(
    host: Host<Model>,
    handle: (model: Model) => Reply,
    timeoutMs: number,
  ): Promise<Reply | 'silent'> {
    this.#silent++;
    const reply = await new Promise<Reply | 'silent'>((resolve) => {
      const cancel = this.clock.after(timeoutMs, () => resolve('silent'));
      host.waiting.push(() => {
        const reply = handle(host.model);
        cancel();
        resolve(reply);
      });
    });
    this.#silent--;
    return reply;
  }
}

const newHost = <Model>(id: string, model: Model): Host<Model> => ({
  id,
  instance: randomUUID(),
  model,
  state: 'up',
  waiting: [],
});
