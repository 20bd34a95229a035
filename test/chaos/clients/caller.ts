import type { CallTags } from '../../support/ng.js';
import type { Random } from '../plan/random.js';
import type { Outcome, Recorder } from '../record/recorder.js';
import type { Method } from '../record/records.js';
import type { ReplicaHost } from '../stage/replica-host.js';
import { GatewayClient } from './gateway-client.js';
import { ReplicaClient } from './replica-client.js';

const maxTries = 5;
const pauseMs = { least: 50, most: 500 };

interface Door {
  readonly host: ReplicaHost;
  readonly grpc: ReplicaClient;
  readonly ng: GatewayClient;
}

/**
 * The SIP proxies: each request goes to a replica, and while its outcome is unknown it is repeated with the same request
 * id at another one. Every attempt is an operation of the history.
 */
export class Caller {
  readonly #doors: readonly Door[];
  readonly #recorder: Recorder;
  readonly #random: Random;
  #requests = 0;
  #stopping = false;

  constructor(
    replicas: readonly ReplicaHost[],
    relaysByAddress: Readonly<Record<string, string>>,
    recorder: Recorder,
    random: Random,
  ) {
    this.#doors = replicas.map((host) => ({
      host,
      grpc: new ReplicaClient(host.grpc),
      ng: new GatewayClient(host.ngPort, relaysByAddress),
    }));
    this.#recorder = recorder;
    this.#random = random;
  }

  get replicas(): number {
    return this.#doors.length;
  }

  async start(): Promise<void> {
    await Promise.all(this.#doors.map(({ ng }) => ng.start()));
  }

  /** Ends the requests under way; none is retried. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const { grpc } of this.#doors) {
      grpc.close();
    }
    await Promise.all(this.#doors.map(({ ng }) => ng.stop()));
  }

  /** @param first index of the replica that is asked first; any, if not given */
  select(callId: string, inDialog: boolean, first?: number): Promise<Outcome> {
    const requestId = this.#newRequestId();
    const method = this.#random.chance(0.3) ? 'stream' : 'select';
    return this.#try({ method, callId, requestId }, first, ({ grpc }) =>
      method === 'stream'
        ? grpc.selectInStream(callId, requestId, inDialog)
        : grpc.select(callId, requestId, inDialog),
    );
  }

  lookup(callId: string, first?: number): Promise<Outcome> {
    return this.#try({ method: 'lookup', callId }, first, ({ grpc }) => grpc.lookup(callId));
  }

  move(callId: string, generation: number): Promise<Outcome> {
    const requestId = this.#newRequestId();
    return this.#try({ method: 'move', callId, generation, requestId }, undefined, ({ grpc }) =>
      grpc.move(callId, generation, requestId),
    );
  }

  release(callId: string): Promise<Outcome> {
    return this.#try({ method: 'release', callId }, undefined, ({ grpc }) => grpc.release(callId));
  }

  ng(method: Method, call: CallTags): Promise<Outcome> {
    return this.#try({ method, callId: call.callId }, undefined, ({ ng }) => ng.ask(method, call));
  }

  #newRequestId(): string {
    return `q${++this.#requests}`;
  }

  async #try(
    asked: { method: Method; callId: string; requestId?: string; generation?: number },
    first: number | undefined,
    perform: (door: Door) => Promise<Outcome>,
  ): Promise<Outcome> {
    let at = first ?? this.#random.below(this.#doors.length);
    for (let count = 1; ; count++) {
      const door = this.#doors[at % this.#doors.length] as Door;
      const outcome = await this.#recorder.record(asked, door.host.component, () => perform(door));
      if (outcome.outcome !== 'unknown' || count >= maxTries || this.#stopping) {
        return outcome;
      }
      const ms = this.#random.between(pauseMs.least, pauseMs.most);
      await new Promise((resolve) => setTimeout(resolve, ms));
      at++;
    }
  }
}
