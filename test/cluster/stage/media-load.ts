import {
  audioSdp,
  type CallTags,
  type MediaAddress,
  newCall,
  ProxyClient,
  relayedTo,
} from '../../support/ng.js';
import type { Scope } from '../../support/process.js';
import { RtpParty } from '../../support/rtp.js';
import { controlPlane } from '../machine/addresses.js';

export interface MediaLoadOptions {
  /** Of the gateway. */
  readonly port: number;
  readonly callsAtOnce: number;
  readonly newCallMs: number;
  readonly packetMs: number;
  /** That each party sends in a call, half of them after a re-INVITE. */
  readonly packets: number;
}

const usual: MediaLoadOptions = { port: 2223, callsAtOnce: 8, newCallMs: 1000, packetMs: 40, packets: 200 };
/** A packet that is under way when a call ends. */
const settleMs = 500;

/** Calls of a SIP proxy outside the cluster, which thinks that it speaks to an rtpengine, with media in both directions. */
export class MediaLoad {
  readonly #pending = new Set<Promise<void>>();
  readonly #reasons: string[] = [];
  #timer: NodeJS.Timeout | undefined;
  #calls = 0;
  #failed = 0;
  #moved = 0;
  #silent = 0;
  #sent = 0;
  #lost = 0;
  #slowestMs = 0;

  #callsAtOnce: number;

  private constructor(
    private readonly proxy: ProxyClient,
    private readonly options: MediaLoadOptions,
  ) {
    this.#callsAtOnce = options.callsAtOnce;
  }

  static async start(
    scope: Scope,
    gateway: string,
    options: Partial<MediaLoadOptions> = {},
  ): Promise<MediaLoad> {
    const all = { ...usual, ...options };
    const proxy = new ProxyClient(gateway, all.port);
    await proxy.start();
    const load = new MediaLoad(proxy, all);
    scope.teardown(async () => {
      clearInterval(load.#timer);
      await proxy.stop();
    });
    load.#timer = setInterval(() => load.#begin(), all.newCallMs);
    return load;
  }

  /** Begins calls only while there are fewer than this; those that there are go on. */
  ebb(callsAtOnce: number): void {
    this.#callsAtOnce = callsAtOnce;
  }

  /** Begins no more calls. @returns what there was, when the last one has ended */
  async finish(): Promise<MediaReport> {
    clearInterval(this.#timer);
    await Promise.all(this.#pending);
    return new MediaReport(
      this.#calls,
      this.#failed,
      this.#moved,
      this.#silent,
      this.#sent,
      this.#lost,
      Math.round(this.#slowestMs),
      this.#reasons,
    );
  }

  #begin(): void {
    if (this.#pending.size >= this.#callsAtOnce) {
      return;
    }
    this.#calls++;
    const call = this.#play(newCall()).catch((error) => {
      this.#failed++;
      this.#reasons.push(error.message);
    });
    this.#pending.add(call);
    void call.finally(() => this.#pending.delete(call));
  }

  async #play(call: CallTags): Promise<void> {
    const { packets } = this.options;
    const beforeReinvite = Math.floor(packets / 2);
    const caller = await RtpParty.open(controlPlane);
    const callee = await RtpParty.open(controlPlane);
    try {
      const [toCallee, toCaller] = await this.#negotiate(call, caller, callee, false);
      await this.#talk(caller, toCaller, callee, toCallee, beforeReinvite);
      const [again, back] = await this.#negotiate(call, caller, callee, true);
      this.#moved += again.address === toCallee.address && back.address === toCaller.address ? 0 : 1;
      await this.#talk(caller, back, callee, again, packets - beforeReinvite);
      await new Promise((resolve) => setTimeout(resolve, settleMs));
      await this.#timed(() => this.proxy.delete(call));
    } finally {
      const heard = [caller, callee].map(({ rtp }) => rtp.heard.length);
      this.#silent += heard.includes(0) ? 1 : 0;
      await Promise.all([caller.close(), callee.close()]);
    }
  }

  /** @returns where the callee sends, and where the caller does */
  async #negotiate(
    call: CallTags,
    caller: RtpParty,
    callee: RtpParty,
    inDialog: boolean,
  ): Promise<[MediaAddress, MediaAddress]> {
    const sdp = ({ address, port, rtcpPort }: RtpParty) => audioSdp({ address, port, rtcpPort });
    const extra = { 'received-from': ['IP4', controlPlane] };
    const offered = await this.#timed(() => this.proxy.offer(call, sdp(caller), { inDialog, extra }));
    const answered = await this.#timed(() => this.proxy.answer(call, sdp(callee), extra));
    return [relayedTo(offered), relayedTo(answered)];
  }

  async #talk(
    caller: RtpParty,
    toCaller: MediaAddress,
    callee: RtpParty,
    toCallee: MediaAddress,
    packets: number,
  ): Promise<void> {
    const before = caller.rtp.heard.length + callee.rtp.heard.length;
    for (let sent = 0; sent < packets; sent++) {
      await Promise.all([caller.sendRtp(toCaller), callee.sendRtp(toCallee)]);
      await new Promise((resolve) => setTimeout(resolve, this.options.packetMs));
    }
    await new Promise((resolve) => setTimeout(resolve, settleMs));
    const heard = caller.rtp.heard.length + callee.rtp.heard.length - before;
    this.#sent += 2 * packets;
    this.#lost += 2 * packets - heard;
  }

  async #timed<T>(task: () => Promise<T>): Promise<T> {
    const beganMs = performance.now();
    const result = await task();
    this.#slowestMs = Math.max(this.#slowestMs, performance.now() - beganMs);
    const reply = result as { readonly result?: unknown; readonly 'error-reason'?: unknown };
    if (reply.result === 'error') {
      throw new Error(String(reply['error-reason']));
    }
    return result;
  }
}

export class MediaReport {
  constructor(
    readonly calls: number,
    readonly failed: number,
    readonly moved: number,
    /** Calls with a party that heard nothing. */
    readonly silent: number,
    readonly packets: number,
    readonly lost: number,
    readonly slowestMs: number,
    readonly reasons: readonly string[],
  ) {}

  toString(): string {
    const { calls, failed, moved, silent, packets, lost, slowestMs } = this;
    const counts = `${calls} calls, ${failed} failed, ${moved} moved, ${silent} silent`;
    const reasons = this.reasons.length > 0 ? ` (${[...new Set(this.reasons)].join('; ')})` : '';
    return `${counts}, ${lost} of ${packets} RTP packets lost, slowest answer ${slowestMs} ms${reasons}`;
  }
}
