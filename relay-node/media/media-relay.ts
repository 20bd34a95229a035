import { join } from 'node:path';
import type { Clock } from '../../services/runtime/clock.js';
import type { Logger } from '../../services/runtime/log.js';
import { newTraffic, type Traffic } from './counters.js';
import { type ForwardingOptions, openForwarding } from './forwarding.js';
import { type MediaInterface, MediaInterfaces } from './interfaces.js';
import type { KernelOffload } from './kernel/kernel-offload.js';
import type { Offload } from './offload.js';
import { PortPool } from './port-pool.js';
import { Player } from './prompts/player.js';
import { Sounds } from './prompts/sounds.js';
import { RateMeter } from './rate-meter.js';
import { CallRecorder } from './recording/call-recorder.js';
import { Recordings } from './recording/recordings.js';
import type { RecordingFormat } from './recording/track.js';
import { Sessions } from './sessions.js';
import { MediaSockets } from './sockets.js';
import { Journal, readJournal } from './state/journal.js';

export interface MediaRelayOptions {
  /** At least one. */
  readonly interfaces: readonly MediaInterface[];
  readonly portMin: number;
  readonly portMax: number;
  /** Default `userspace`. */
  readonly forwarding?: ForwardingOptions['forwarding'];
  /** Name of its nftables tables, if the kernel forwards or has forwarded: no other relay of the host has it. */
  readonly table?: string;
  /** Somebody is told of telephone events. */
  readonly seesEvents?: boolean;
  /** What media leave with; default: what they came with. */
  readonly dscp?: number | undefined;
  /** Its calls go on in the next process if this one is killed; default: they end. */
  readonly state?: StateOptions | undefined;
  /** Where recordings are written; empty: nothing is recorded. */
  readonly recordingDirectory?: string | undefined;
  /** Of recordings for which none is asked; default `pcap`. */
  readonly recordingFormat?: RecordingFormat;
  /** Where the wav files are that can be played; empty: none. */
  readonly promptDirectory?: string | undefined;
  /** Most calls at a time; deleted ones do not count. */
  readonly maxSessions: number;
  /** An answered call without packets ends after this long. rtpengine: 60 s. */
  readonly idleTimeoutMs: number;
  /** The same for a call on hold. Default 1 h, as rtpengine's silent-timeout. */
  readonly holdTimeoutMs?: number;
  /** An offer without answer ends after this long. Default 5 min, longer than SIP's timer C. */
  readonly answerTimeoutMs?: number;
  /** A deleted call is known, and its media pass, for this long. Default 30 s, as rtpengine's delete-delay. */
  readonly deleteDelayMs?: number;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface StateOptions {
  readonly directory: string;
  /** Of this boot of the host, which no call outlives. */
  readonly bootId: string;
  /** Of this life, if it is a new one. */
  readonly instance: string;
}

export interface MediaLoad {
  /** Calls that nobody has deleted. */
  readonly calls: number;
  /** RTP and RTCP packets per second that were relayed. */
  readonly packetRate: number;
  readonly byteRate: number;
  /** Of these, those that the kernel forwarded. */
  readonly kernelPacketRate: number;
  readonly kernelByteRate: number;
  readonly portPairs: number;
  readonly portPairsFree: number;
}

const sweepIntervalMs = 1000;
const maxMedia = 32;
const maxDialogs = 16;

/** Calls, their sockets, and what passes through: the relay without the protocols that control it. */
export class MediaRelay {
  readonly sockets: MediaSockets;
  readonly sessions: Sessions;
  /** Undefined if nothing is recorded. */
  readonly recorder: CallRecorder | undefined;
  readonly #recordings: Recordings | undefined;
  /** Undefined if nothing is played. */
  readonly player: Player | undefined;
  readonly #sounds: Sounds | undefined;
  readonly #options: MediaRelayOptions;
  readonly #traffic = newTraffic();
  readonly #pool: PortPool;
  #startedAtMs = 0;
  #cancelSweep: () => void = () => undefined;
  /** The kernel's counters are read less often than our own. */
  readonly #rates = { userspace: new RateMeter(), kernel: new RateMeter() };
  #forwarder: KernelOffload | undefined;
  #where = '';
  #journal: Journal | undefined;

  /** @throws TypeError, RangeError */
  constructor(options: MediaRelayOptions) {
    const { clock, log } = options;
    this.#options = options;
    this.#pool = new PortPool(options.portMin, options.portMax);
    this.sockets = new MediaSockets(this.#pool, new MediaInterfaces(options.interfaces), this.#traffic);
    const limits = {
      maxMedia,
      maxDialogs,
      maxSessions: options.maxSessions,
      idleTimeoutMs: options.idleTimeoutMs,
      holdTimeoutMs: options.holdTimeoutMs ?? 3_600_000,
      answerTimeoutMs: options.answerTimeoutMs ?? 300_000,
      deleteDelayMs: options.deleteDelayMs ?? 30_000,
    };
    this.sessions = new Sessions(this.sockets, limits, clock, log);
    const { recordingDirectory: directory, recordingFormat: format = 'pcap', promptDirectory } = options;
    this.#sounds = promptDirectory ? new Sounds(promptDirectory, clock) : undefined;
    this.player = this.#sounds && new Player(this.sessions, this.#sounds, clock);
    this.#recordings = directory ? new Recordings({ directory, format, clock, log }) : undefined;
    this.recorder = this.#recordings && new CallRecorder(this.sessions, this.#recordings);
  }

  /** @throws Error naming the address, if it is not this machine's, or saying why the kernel cannot forward as it is to */
  async start(): Promise<void> {
    const { clock } = this.#options;
    await this.sockets.check();
    await this.#recordings?.check();
    await this.#sounds?.check();
    const { forwarding = 'userspace', table } = this.#options;
    this.#startedAtMs = clock.monotonicMs();
    this.#journal = await this.#restore();
    const sources = () => this.sessions.legs();
    const { offload, where } = await openForwarding(
      { ...this.#options, interfaces: this.sockets.interfaces, forwarding, table },
      { ...this.#options, sources },
    );
    this.#forwarder = offload;
    this.#where = where;
    this.sockets.offload = offload;
    await this.#journal?.start();
    this.sessions.journal = this.#journal;
    this.#rates.userspace.start(clock.monotonicMs());
    this.#rates.kernel.start(clock.monotonicMs());
    this.#scheduleSweep();
  }

  /** Ends all calls and closes all sockets. */
  async stop(): Promise<void> {
    this.#cancelSweep();
    this.player?.close();
    this.sessions.close();
    await this.recorder?.stop();
    await this.#forwarder?.stop();
    await this.#journal?.remove();
  }

  /** Closes all sockets, and leaves the calls to the next process: what the kernel forwards goes on. */
  async leave(): Promise<void> {
    this.#cancelSweep();
    this.player?.close();
    await this.#forwarder?.leave();
    await this.#journal?.leave();
    this.sessions.close();
    await this.recorder?.stop();
  }

  /** Of its life; another one has none of its calls. */
  get instance(): string | undefined {
    return this.#journal?.life.instance;
  }

  /** Goes on with what a process before has left, if that can be read. */
  async #restore(): Promise<Journal | undefined> {
    const { state, log, table = 'holdfast' } = this.#options;
    if (!state) {
      return undefined;
    }
    const path = join(state.directory, `${table}.calls`);
    const left = await readJournal(path, state.bootId).catch((error: Error) => {
      log.error({ file: path, reason: error.message }, 'the calls of the previous process are lost');
      return undefined;
    });
    await this.sessions.restore(left?.calls ?? []);
    if (left) {
      this.#startedAtMs = left.life.startedAtMs;
      log.info({ file: path, calls: this.sessions.size }, 'continuing the calls of the previous process');
    }
    const life = { bootId: state.bootId, instance: state.instance, startedAtMs: this.#startedAtMs };
    return new Journal(path, left?.life ?? life, { log, calls: () => this.sessions.states() });
  }

  /** What forwards in the kernel; undefined if user space does. */
  get offload(): Offload | undefined {
    return this.sockets.offload;
  }

  /** Where media are forwarded, for people: `in the kernel`, or `in user space` and why; empty before the start. */
  get forwardedWhere(): string {
    return this.#where;
  }

  /** What all media leave with; undefined: that is not set. */
  get dscp(): number | undefined {
    return this.#options.dscp;
  }

  get traffic(): Readonly<Traffic> {
    return this.#traffic;
  }

  /** By the monotonic clock, ms. */
  get startedAtMs(): number {
    return this.#startedAtMs;
  }

  get portRange(): { readonly min: number; readonly max: number } {
    return { min: this.#options.portMin, max: this.#options.portMax };
  }

  load(): MediaLoad {
    const { userspace, kernel } = this.#rates;
    return {
      calls: this.sessions.active,
      packetRate: userspace.packets + kernel.packets,
      byteRate: userspace.bytes + kernel.bytes,
      kernelPacketRate: kernel.packets,
      kernelByteRate: kernel.bytes,
      portPairs: this.#pool.total,
      portPairsFree: this.#pool.free,
    };
  }

  #scheduleSweep(): void {
    this.#cancelSweep = this.#options.clock.after(sweepIntervalMs, () => {
      this.sessions.expire();
      this.#measure();
      this.#scheduleSweep();
    });
  }

  #measure(): void {
    const nowMs = this.#options.clock.monotonicMs();
    const { relayedPackets, relayedBytes, kernelPackets, kernelBytes } = this.#traffic;
    const { userspace, kernel } = this.#rates;
    userspace.measure(nowMs, relayedPackets - kernelPackets, relayedBytes - kernelBytes);
    kernel.measure(this.#forwarder?.countedUntilMs ?? nowMs, kernelPackets, kernelBytes);
  }
}
