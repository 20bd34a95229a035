import { Origin, type SelectResponse } from '../../proto/generated/holdfast/v1/selection.js';
import type { HoldfastClient } from '../../services/client/index.js';
import { startRealEtcd } from '../support/etcd.js';
import { audioSdp, type CallTags, newCall, ProxyClient, relayedTo } from '../support/ng.js';
import { type Scope, startProcess, type TestProcess } from '../support/process.js';
import { findProgram } from '../support/program.js';
import { eventually } from '../support/registry.js';
import { type Rtpengine, startRtpengine } from '../support/rtpengine.js';
import {
  type RelayNodeOptions,
  type RelayNodeProcess,
  type ReplicaProcess,
  startRelayNode,
  startReplica,
} from '../support/stack.js';

export const programs = ['etcd', 'etcdctl', 'rtpengine'];

export interface NodeWithRtpengine {
  readonly id: string;
  readonly rtpengine: Rtpengine;
  node: RelayNodeProcess;
}

export interface JoinOptions {
  /** Of the relay node. */
  readonly env?: RelayNodeOptions['env'];
  /** Further arguments of rtpengine, and its media address. */
  readonly args?: readonly string[];
  readonly address?: string;
}

/** A real etcd, two replicas, and rtpengines with their relay nodes, all separate processes. */
export class Scene {
  readonly relays = new Map<string, NodeWithRtpengine>();

  private constructor(
    readonly scope: Scope,
    readonly etcd: string,
    readonly replicas: readonly [ReplicaProcess, ReplicaProcess],
  ) {}

  static async start(scope: Scope, relayIds: readonly string[]): Promise<Scene> {
    const { endpoint } = await startRealEtcd(scope);
    const replicas = await Promise.all([startReplica(scope, endpoint), startReplica(scope, endpoint)]);
    const scene = new Scene(scope, endpoint, replicas);
    await Promise.all(relayIds.map((id) => scene.join(id)));
    return scene;
  }

  get a(): HoldfastClient {
    return this.replicas[0].client;
  }

  get b(): HoldfastClient {
    return this.replicas[1].client;
  }

  /** Starts an rtpengine and its relay node; resolves when both replicas list it. */
  async join(id: string, { env = {}, args = [], address }: JoinOptions = {}): Promise<NodeWithRtpengine> {
    const rtpengine = await startRtpengine(this.scope, args, address);
    const node = await startRelayNode(this.scope, { id, etcd: this.etcd, rtpengine, env });
    const relay = { id, rtpengine, node };
    this.relays.set(id, relay);
    await this.listed(id);
    return relay;
  }

  relay(id: string | undefined): NodeWithRtpengine {
    const relay = this.relays.get(id ?? '');
    if (!relay) {
      throw new Error(`no relay ${id} in this scene`);
    }
    return relay;
  }

  /** Starts a relay node for the running rtpengine. */
  async restartNode(id: string): Promise<void> {
    const relay = this.relay(id);
    await relay.node.process.kill();
    relay.node = await startRelayNode(this.scope, { id, etcd: this.etcd, rtpengine: relay.rtpengine });
  }

  /** The instance that both replicas list for the relay; undefined if they do not agree. */
  async instanceOf(id: string): Promise<string | undefined> {
    const lists = await Promise.all([this.a, this.b].map((replica) => replica.listRelays('')));
    const [one, other] = lists.map(({ relays }) => relays.find((relay) => relay.id === id)?.instance);
    return one === other ? one : undefined;
  }

  listed(id: string): Promise<void> {
    return eventually(async () => (await this.instanceOf(id)) !== undefined, `${id} in both lists`);
  }

  /** Resolves when no replica lists the relay. */
  async gone(id: string, timeoutMs?: number): Promise<void> {
    const isGone = async () => {
      const lists = await Promise.all([this.a, this.b].map((replica) => replica.listRelays('')));
      return lists.every(({ relays }) => relays.every((relay) => relay.id !== id));
    };
    await eventually(isGone, `leave of ${id}`, timeoutMs);
  }

  /** A SIP proxy's connection to the relay that the answer names. */
  async proxyFor(answer: SelectResponse): Promise<ProxyClient> {
    const [, port] = /^udp:127\.0\.0\.1:(\d+)$/.exec(answer.binding?.relay?.controlUrl ?? '') ?? [];
    const proxy = new ProxyClient('127.0.0.1', Number(port));
    await proxy.start();
    this.scope.teardown(() => proxy.stop());
    return proxy;
  }

  /** An INVITE through replica A: Select, offer, answer. */
  async invite(call: CallTags = newCall()) {
    const answer = await this.a.select({ callId: call.callId });
    const proxy = await this.proxyFor(answer);
    const ports = await negotiate(proxy, call);
    return { call, answer, proxy, ports, relay: String(answer.binding?.relay?.id) };
  }

  /** Starts `etcdctl watch --prefix`. */
  async watch(prefix: string): Promise<EtcdctlWatch> {
    return EtcdctlWatch.start(this.scope, this.etcd, prefix);
  }
}

/** An offer and its answer. @returns the relay's ports for callee and caller */
export async function negotiate(proxy: ProxyClient, call: CallTags, inDialog = false): Promise<number[]> {
  const phone = (port: number) => audioSdp({ address: '127.0.0.1', port });
  const offer = await proxy.offer(call, phone(50_000), { inDialog });
  const answer = await proxy.answer(call, phone(50_002));
  return [relayedTo(offer).port, relayedTo(answer).port];
}

/** Relay, instance and generation of an answer: equal for answers that agree. */
export function placeOf({ binding }: SelectResponse) {
  const { id, instance, controlUrl } = binding?.relay ?? {};
  return { id, instance, controlUrl, generation: Number(binding?.generation) };
}

export const isMoved = ({ origin }: SelectResponse) => origin === Origin.MOVED;

/** A real `etcdctl watch`: puts and deletions of keys, in order. */
export class EtcdctlWatch {
  private constructor(
    private readonly process: TestProcess,
    private readonly prefix: string,
  ) {}

  static async start(scope: Scope, endpoint: string, prefix: string): Promise<EtcdctlWatch> {
    const program = findProgram('etcdctl') ?? 'etcdctl';
    const env = { ETCDCTL_API: '3', ETCDCTL_ENDPOINTS: endpoint };
    const child = await startProcess(scope, program, ['watch', '--prefix', prefix], { env });
    const watch = new EtcdctlWatch(child, prefix);
    // It does not print when it has begun: a marker key shows that.
    const marker = `${prefix}~marker`;
    await child.waitUntil(async () => {
      const put = await startProcess(scope, program, ['put', marker, 'x'], { env });
      await put.success();
      return child.output.includes(marker);
    }, 'event');
    return watch;
  }

  /** `PUT default/r1`, `DELETE default/r1` and so on, without the marker. */
  get events(): string[] {
    const lines = this.process.stdout.split('\n');
    return lines.flatMap((line, at) => {
      if (line !== 'PUT' && line !== 'DELETE') {
        return [];
      }
      const name = (lines[at + 1] ?? '').slice(this.prefix.length);
      return name.startsWith('~') ? [] : [`${line} ${name}`];
    });
  }
}
