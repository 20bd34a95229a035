import { readFile } from 'node:fs/promises';
import type { NgDictionary } from '../../services/control/ng/message.js';
import { NetworkHost, networkHostPrograms, RemoteProxy, type RemoteSocket } from './network-host.js';
import { audioSdp, type CallTags, type MediaAddress, newCall, relayedTo } from './ng.js';
import type { Scope, TestProcess } from './process.js';
import { repository } from './repository.js';
import { rtpPacket } from './rtp.js';

/** Not the one of npm. */
export const nft = '/usr/sbin/nft';
export const kernelPrograms = [...networkHostPrograms, nft];

/** Of the hosts: a network on each side of the relay, which is told to everybody by its address on the first. */
export const networks = {
  IPv4: { relay: '10.77.1.1', caller: '10.77.1.2', callee: '10.77.2.2', far: '10.77.2.1', bits: 24 },
  IPv6: { relay: 'fd77:1::1', caller: 'fd77:1::2', callee: 'fd77:2::2', far: 'fd77:2::1', bits: 64 },
} as const;
export type Family = keyof typeof networks;

const controlPort = 2223;
const httpPort = 7490;
const cli = `${repository}/dist/services/cli/main.js`;

/** Three hosts: a relay node between two parties. */
export class KernelScene {
  private constructor(
    readonly family: Family,
    readonly relay: NetworkHost,
    readonly near: NetworkHost,
    readonly far: NetworkHost,
    readonly proxy: RemoteProxy,
  ) {}

  static async open(scope: Scope, family: Family = 'IPv4'): Promise<KernelScene> {
    const [relay, near, far] = await Promise.all([1, 2, 3].map(() => NetworkHost.start(scope)));
    if (!relay || !near || !far) {
      throw new Error('no hosts');
    }
    const { bits, ...address } = networks[family];
    await relay.connect('near', `${address.relay}/${bits}`, near, `${address.caller}/${bits}`);
    await relay.connect('far', `${address.far}/${bits}`, far, `${address.callee}/${bits}`);
    const version = family === 'IPv6' ? '-6' : '-4';
    await far.exec('ip', version, 'route', 'add', 'default', 'via', address.far);
    return new KernelScene(family, relay, near, far, new RemoteProxy(relay, address.relay, controlPort));
  }

  /** Its etcd is not there: media need none. */
  #node: TestProcess | undefined;

  async startRelay(
    env: Readonly<Record<string, string>> = {},
    through: readonly string[] = [],
  ): Promise<TestProcess> {
    const node = await this.runRelay(env, through);
    this.#node = node;
    await node.waitForLine('"started"');
    return node;
  }

  /** What the relay started last has printed. */
  get output(): string {
    return this.#node?.output ?? '';
  }

  /** @param through a program that runs it */
  runRelay(env: Readonly<Record<string, string>>, through: readonly string[]): Promise<TestProcess> {
    const { relay: address } = networks[this.family];
    const host = address.includes(':') ? `[${address}]` : address;
    return this.relay.run([...through, process.execPath, cli, 'relay-node'], {
      env: {
        HOLDFAST_RELAY_ID: 'media-1',
        HOLDFAST_RELAY_CONTROL: `${host}:${controlPort}`,
        HOLDFAST_RELAY_MEDIA: `default=${address}`,
        HOLDFAST_RELAY_DELETE_DELAY_SECONDS: '0',
        HOLDFAST_DRAIN_DEADLINE_SECONDS: '0',
        HOLDFAST_HTTP_LISTEN: `127.0.0.1:${httpPort}`,
        HOLDFAST_ETCD: '127.0.0.1:2379',
        ...env,
      },
    });
  }

  async ruleset(): Promise<string> {
    return this.relay.exec(nft, 'list', 'ruleset');
  }

  async metrics(): Promise<string> {
    return this.relay.ask('fetch', `http://127.0.0.1:${httpPort}/metrics`);
  }

  async metric(name: string): Promise<number> {
    return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(await this.metrics())?.[1]);
  }

  /** By the counters of nftables. */
  async packetsInKernel(): Promise<number> {
    const counters = (await this.ruleset()).matchAll(/counter packets (\d+)/g);
    return [...counters].reduce((total, [, packets]) => total + Number(packets), 0);
  }

  /** Asks until it is so. */
  async until(condition: () => Promise<boolean>): Promise<void> {
    const deadlineMs = performance.now() + 20_000;
    while (!(await condition())) {
      if (performance.now() > deadlineMs) {
        throw new Error(`the condition did not come true within 20 s; the ruleset:\n${await this.ruleset()}`);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  untilRuleset(condition: (text: string) => boolean): Promise<void> {
    return this.until(async () => condition(await this.ruleset()));
  }

  /** Both parties talk until it is so. */
  talkUntil(call: KernelCall, condition: () => Promise<boolean>): Promise<void> {
    return this.until(async () => {
      await call.exchange();
      return condition();
    });
  }

  async childrenOf({ pid }: TestProcess): Promise<string[]> {
    return (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(' ');
  }

  /** One of the totals of `statistics`. */
  async total(name: string): Promise<number> {
    const reply = await this.proxy.statistics();
    return Number(((reply['statistics'] as NgDictionary)['totalstatistics'] as NgDictionary)[name]);
  }

  /** Packets that the relay has forwarded, by path; of the kernel, those that it has counted. */
  async forwarded(): Promise<{ kernel: number; userspace: number }> {
    return {
      kernel: await this.total('relayedpackets_kernel'),
      userspace: await this.total('relayedpackets_user'),
    };
  }

  /** @param extra of the offer */
  async call(proxy = this.proxy, extra: NgDictionary = {}): Promise<KernelCall> {
    const addresses = networks[this.family];
    const caller = new Phone(await this.near.udp(addresses.caller));
    const callee = new Phone(await this.far.udp(addresses.callee));
    const tags = newCall();
    // The proxy of other tests says that all came from loopback, which is to be believed here least of all.
    callee.target = relayedTo(await proxy.offer(tags, caller.sdp(1), { extra: { ...untrusted, ...extra } }));
    caller.target = relayedTo(await proxy.answer(tags, callee.sdp(1), untrusted));
    return new KernelCall(this, tags, caller, callee);
  }
}

/** The addresses of the SDP count. */
export const untrusted = { 'received-from': [] };

export class Phone {
  /** Packets. */
  sent = 0;
  target: MediaAddress | undefined;

  constructor(readonly socket: RemoteSocket) {}

  sdp(version: number): string {
    return audioSdp({ address: this.socket.address, port: this.socket.port, version });
  }

  async talk(): Promise<void> {
    const { target, socket } = this;
    if (target) {
      await socket.send(rtpPacket(socket.port, ++this.sent), target.port, target.address);
    }
  }
}

/** A call that both parties can talk in. */
export class KernelCall {
  constructor(
    readonly scene: KernelScene,
    readonly tags: CallTags,
    readonly caller: Phone,
    readonly callee: Phone,
  ) {}

  /** One packet each way, and their arrival. */
  async exchange(caller = this.caller, callee = this.callee): Promise<void> {
    const [toCallee, toCaller] = [callee.socket.heard.length + 1, caller.socket.heard.length + 1];
    await caller.talk();
    await callee.socket.hears(toCallee);
    await callee.talk();
    await caller.socket.hears(toCaller);
  }

  /** Talks until a round goes through the kernel both ways: what the kernel does not take at first is tried again after 10 s. */
  async talkUntilHandedOver(caller = this.caller, callee = this.callee): Promise<void> {
    const untilMs = performance.now() + 30_000;
    while (performance.now() < untilMs) {
      const before = await this.scene.forwarded();
      await this.exchange(caller, callee);
      const { userspace } = await this.scene.forwarded();
      if (userspace === before.userspace) {
        return;
      }
    }
    const { output } = this.scene;
    throw new Error(`no round went through the kernel for 30 s:\n${output}\n${await this.scene.ruleset()}`);
  }

  query(): Promise<NgDictionary> {
    return this.scene.proxy.query(this.tags);
  }
}
