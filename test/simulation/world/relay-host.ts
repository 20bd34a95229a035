import { Agent } from '../../../relay-node/agent.js';
import { HostCpu } from '../../../relay-node/host-cpu.js';
import { RtpengineDriver } from '../../../relay-node/relays/rtpengine.js';
import type { NgDictionary } from '../../../services/control/ng/message.js';
import { NgServer } from '../../../services/control/ng/server.js';
import { waitForEtcd } from '../../../services/etcd/wait-for-etcd.js';
import { NgRelayModel } from '../../model/ng-relay-model.js';
import { type Host, SimProcess } from '../kernel/process.js';
import { type ConnectionOptions, connect } from './connection.js';
import { keys } from './replica.js';

export const relayPort = 22_222;

export interface RelayHostOptions extends ConnectionOptions {
  readonly host: Host;
  readonly id: string;
}

/** One life of a media process, and how long it was there. */
export interface MediaLife {
  readonly name: string;
  readonly bornMs: number;
  diedMs: number;
}

/** A relay, which is a model of an rtpengine, and its relay node, which is the real one. */
export class RelayHost {
  #media: SimProcess | undefined;
  #node: SimProcess | undefined;
  #model: NgRelayModel | undefined;
  readonly lives: MediaLife[] = [];
  nodeLife = 0;

  constructor(private readonly options: RelayHostOptions) {}

  get id(): string {
    return this.options.id;
  }

  get host(): Host {
    return this.options.host;
  }

  get media(): SimProcess | undefined {
    return this.#media?.isDead ? undefined : this.#media;
  }

  get node(): SimProcess | undefined {
    return this.#node?.isDead ? undefined : this.#node;
  }

  /** The life that is there now. */
  get life(): MediaLife | undefined {
    return this.media && this.lives.at(-1);
  }

  /** The calls that it carries. */
  get callIds(): readonly string[] {
    return this.media ? (this.#model?.callIds ?? []) : [];
  }

  killMedia(): void {
    const { life } = this;
    if (life) {
      life.diedMs = this.host.scheduler.nowMs;
      this.#media?.kill();
    }
  }

  killNode(): void {
    this.#node?.kill();
  }

  startMedia(): void {
    if (this.media) {
      return;
    }
    const { host, id } = this.options;
    const name = `${id}.${this.lives.length + 1}`;
    const process = new SimProcess(`media ${name}`, host);
    this.lives.push({ name, bornMs: host.scheduler.nowMs, diedMs: Number.POSITIVE_INFINITY });
    this.#media = process;
    const model = new NgRelayModel(process.clock, { deleteDelayMs: 0 });
    this.#model = model;
    process.enter(() => {
      const startedAtMs = process.clock.wallMs();
      const server = new NgServer({
        listen: [{ host: host.address, port: relayPort }],
        clock: process.clock,
        handler: async ({ body }) => this.#answer(model, body, name, process.clock.wallMs() - startedAtMs),
      });
      void server.start();
    });
  }

  startNode(): void {
    if (this.node) {
      return;
    }
    const { host, id } = this.options;
    const process = new SimProcess(`node ${id}.${++this.nodeLife}`, host);
    this.#node = process;
    process.enter(() => void this.#runNode(process));
  }

  #answer(model: NgRelayModel, body: NgDictionary, name: string, uptimeMs: number): NgDictionary {
    if (body['command'] === 'statistics') {
      const uptime = String(BigInt.asUintN(64, BigInt(Math.floor(uptimeMs / 1000))));
      const statistics = {
        currentstatistics: { sessionstotal: model.callIds.length, packetrate: 0 },
        totalstatistics: { uptime },
        interfaces: [{ name: 'default', address: this.host.address }],
      };
      return { result: 'ok', statistics };
    }
    return { ...model.handle(body), 'answered by': name };
  }

  /** As `relay-node/process.ts` builds it. */
  async #runNode(process: SimProcess): Promise<void> {
    const { host, id } = this.options;
    const { connection, clock, log } = connect(process, this.options);
    const control = { host: host.address, port: relayPort };
    const agent = new Agent({
      relay: new RtpengineDriver({ control, advertise: undefined, clock, log }),
      identity: {
        id,
        set: 'default',
        weight: 100,
        capacity: 0,
        zone: '',
        labels: {},
        mediaAddresses: { default: host.address },
      },
      connection,
      keys,
      clock,
      log,
      drainDeadlineMs: 1000,
      bootId: `boot of ${host.address}`,
      node: process.name,
      cpu: new HostCpu(() => []),
    });
    await agent.start();
    await waitForEtcd({ connection, clock, log }, keys.instance('default', id), new AbortController().signal);
  }
}
