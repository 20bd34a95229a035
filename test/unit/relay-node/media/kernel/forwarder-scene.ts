import type { RemoteInfo } from 'node:dgram';
import type { ExecutionContext } from 'ava';
import { newTraffic, type Traffic } from '../../../../../relay-node/media/counters.js';
import { KernelForwarder } from '../../../../../relay-node/media/kernel/forwarder.js';
import { type Nft, NftGoneError, RefusedLineError } from '../../../../../relay-node/media/kernel/nft.js';
import type { Route } from '../../../../../relay-node/media/kernel/routes.js';
import { Leg } from '../../../../../relay-node/media/leg.js';
import { silentLogger } from '../../../../../services/runtime/log.js';
import { ManualClock, turns } from '../../../../support/clock.js';
import { rtpPacket } from '../../../../support/rtp.js';

/** Notes what it is told, and says what the test wants: nothing, unless told otherwise. */
export class ScriptedNft implements Nft {
  readonly lines: string[] = [];
  readonly ended: Promise<string>;
  /** Text, or an error. */
  answer: (line: string) => string | Error = () => '';
  #release: (() => void) | undefined;
  #held: Promise<void> | undefined;
  #end: (reason: string) => void = () => undefined;
  #gone = false;

  constructor() {
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  async run(line: string): Promise<string> {
    this.lines.push(line);
    await this.#held;
    if (this.#gone) {
      throw new NftGoneError('gone');
    }
    const answer = this.answer(line);
    if (answer instanceof Error) {
      throw answer;
    }
    return answer;
  }

  async runApart(line: string): Promise<string> {
    this.lines.push(line);
    // It is a process of its own.
    if (!this.#gone) {
      await this.#held;
    }
    const answer = this.answer(line);
    if (answer instanceof Error) {
      throw answer;
    }
    return answer;
  }

  async stop(): Promise<void> {
    this.die('stopped');
  }

  /** Nothing is answered until `proceed`. */
  hold(): void {
    this.#held = new Promise((resolve) => {
      this.#release = resolve;
    });
  }

  proceed(): void {
    this.#held = undefined;
    this.#release?.();
  }

  die(reason: string): void {
    this.#gone = true;
    this.#end(reason);
  }

  /** Lines that have this, in order. */
  with(words: string): string[] {
    return this.lines.filter((line) => line.includes(words));
  }
}

export const gone = new RefusedLineError('Could not process rule: No such file or directory');

export class ForwarderScene {
  readonly clock = new ManualClock();
  /** One for each time that the table was built. */
  readonly nfts: ScriptedNft[] = [];
  readonly routes = new Map<string, Route>();
  routeFailure: Error | undefined;
  readonly traffic: Traffic = newTraffic();
  readonly forwarder: KernelForwarder;
  /** For each nft to come. */
  answer: (line: string) => string | Error = () => '';
  /** Packets that user space sent on. */
  sent = 0;
  /** The last that was given to a leg. */
  lastPort = 30_000;

  constructor(t: ExecutionContext) {
    this.forwarder = new KernelForwarder(
      { table: 't', addresses: ['192.0.2.1'], portMin: 30_000, portMax: 39_999 },
      {
        openNft: () => {
          const nft = new ScriptedNft();
          nft.answer = (line) => this.answer(line);
          this.nfts.push(nft);
          return nft;
        },
        resolveRoutes: async (addresses) => this.#routesTo(addresses),
        clock: this.clock,
        log: silentLogger,
        random: () => 0.5,
      },
    );
    t.teardown(() => this.forwarder.stop());
  }

  static async start(t: ExecutionContext): Promise<ForwarderScene> {
    const scene = new ForwarderScene(t);
    await scene.forwarder.start();
    return scene;
  }

  get nft(): ScriptedNft {
    return this.nfts.at(-1) as ScriptedNft;
  }

  /** Two parties that are heard. */
  pair(address = '198.51.100.1', otherAddress = '198.51.100.2'): [Leg, Leg] {
    const [one, other] = [this.#leg(), this.#leg()];
    one.connect(other);
    other.connect(one);
    one.learn(remote(address, 4000));
    other.learn(remote(otherAddress, 5000));
    return [one, other];
  }

  /** A packet of each comes to user space. */
  async talk(...legs: readonly Leg[]): Promise<void> {
    for (const leg of legs) {
      leg.relay(rtpPacket(1, 1));
    }
    await turns();
  }

  /** Talks until both are in the kernel. */
  async handedOver(address?: string, otherAddress?: string): Promise<[Leg, Leg]> {
    const pair = this.pair(address, otherAddress);
    await this.talk(...pair);
    await this.talk(...pair);
    return pair;
  }

  /** On the link, but for loopback, unless told otherwise. */
  #routesTo(addresses: readonly string[]): Map<string, Route> {
    if (this.routeFailure) {
      throw this.routeFailure;
    }
    const onLink = { device: 'eth0', index: 2, gateway: undefined };
    return new Map(
      addresses.flatMap((address) => {
        const to = address.replace(/ from .*/, '');
        const route = this.routes.get(to) ?? (to.startsWith('127.') ? undefined : onLink);
        return route ? [[address, route] as const] : [];
      }),
    );
  }

  #leg(): Leg {
    const { traffic, forwarder: offload } = this;
    const send = () => {
      this.sent++;
    };
    this.lastPort += 2;
    const outlet = {
      port: this.lastPort,
      address: '192.0.2.1',
      family: 4,
      traffic,
      payload: 'rtp',
      offload,
      send,
    } as const;
    const listener = {
      recorder: undefined,
      nowMs: 0,
      packetRelayed: () => 0,
      stateChanged: () => undefined,
      keyPressed: () => undefined,
    };
    return new Leg(outlet, listener, 0);
  }
}

export function remote(address: string, port: number): RemoteInfo {
  return { address, port, family: 'IPv4', size: 0 };
}

/** How the kernel shows the counters of the streams that were added with these lines. */
export function counters(added: readonly string[], packets: number): string {
  const streams = added.flatMap((line) => [...line.matchAll(/("[^{},]+?) : (0x[0-9a-f]{8})/g)]);
  const flows = streams.map(([, key, mark]) => `${key} : ${mark}`);
  const ports = streams.map(
    ([, , mark]) => `${mark} counter packets ${packets} bytes ${200 * packets} : 5000`,
  );
  const table = (map: string, elements: readonly string[]) =>
    `table netdev t {\n\tmap ${map} {\n\t\telements = { ${elements.join(',\n')} }\n\t}\n}\n`;
  return table('flows', flows) + table('dport', ports);
}
