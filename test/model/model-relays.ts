import { randomUUID } from 'node:crypto';
import { encodeBody, type NgDictionary, parseMessage } from '../../services/control/ng/message.js';
import type { ControlRequest } from '../../services/control/protocol.js';
import type { RegisteredRelay } from '../../services/domain/relay.js';
import type { Asked, RelayAccess } from '../../services/gateway/relay-clients.js';
import { type ManualClock, turns } from '../support/clock.js';
import { NgRelayModel, type NgRelayModelOptions } from './ng-relay-model.js';

/** One relay process, and what waits in its socket while it is paused. */
interface Host {
  readonly id: string;
  instance: string;
  readonly model: NgRelayModel;
  state: 'up' | 'paused' | 'dead';
  readonly waiting: (() => void)[];
}

/** Relays of one machine, by id, and the way to them. */
export class ModelRelays implements RelayAccess {
  readonly #hosts: ReadonlyMap<string, Host>;
  /** Requests that are not answered yet. */
  #outstanding = 0;
  /** Those of them for which nothing but time is left. */
  #silent = 0;

  constructor(
    ids: readonly string[],
    private readonly clock: ManualClock,
    options: NgRelayModelOptions,
  ) {
    this.#hosts = new Map(ids.map((id) => [id, newHost(id, new NgRelayModel(clock, options))]));
  }

  get ids(): string[] {
    return [...this.#hosts.keys()];
  }

  get outstanding(): number {
    return this.#outstanding;
  }

  /** Nothing happens until time goes by. */
  get waitsForTime(): boolean {
    return this.#silent > 0 && this.#silent === this.#outstanding;
  }

  host(id: string): Host {
    const host = this.#hosts.get(id);
    if (!host) {
      throw new Error(`no relay ${id}`);
    }
    return host;
  }

  /** Relays that know the call. */
  carriersOf(callId: string): string[] {
    return this.ids.filter((id) => this.host(id).model.callIds.includes(callId));
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
    const reply = await this.request(relay.id, parseMessage(request.body).body, timeoutMs);
    return typeof reply === 'string'
      ? { kind: reply, reason: 'said the model' }
      : { kind: 'replied', reply: encodeBody(reply, 'bencode') };
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

  /** As over UDP, from whomever. */
  async request(
    id: string,
    body: NgDictionary,
    timeoutMs: number,
  ): Promise<NgDictionary | 'refused' | 'silent'> {
    const host = this.host(id);
    this.#outstanding++;
    try {
      await turns(1);
      if (host.state === 'dead') {
        return 'refused';
      }
      return host.state === 'up' ? host.model.handle(body) : await this.#late(host, body, timeoutMs);
    } finally {
      this.#outstanding--;
    }
  }

  async #late(host: Host, body: NgDictionary, timeoutMs: number): Promise<NgDictionary | 'silent'> {
    this.#silent++;
    const reply = await new Promise<NgDictionary | 'silent'>((resolve) => {
      const cancel = this.clock.after(timeoutMs, () => resolve('silent'));
      host.waiting.push(() => {
        const reply = host.model.handle(body);
        cancel();
        resolve(reply);
      });
    });
    this.#silent--;
    return reply;
  }
}

const newHost = (id: string, model: NgRelayModel): Host => ({
  id,
  instance: randomUUID(),
  model,
  state: 'up',
  waiting: [],
});
