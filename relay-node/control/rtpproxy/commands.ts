import { baseVersion } from '../../../services/control/rtpproxy/capabilities.js';
import { errorCodes, errorReply } from '../../../services/control/rtpproxy/errors.js';
import type { RtpproxyRequest } from '../../../services/control/rtpproxy/request.js';
import { formatInfo, mergeCounters } from '../../../services/control/rtpproxy/statistics.js';
import type { UdpServerCounters } from '../../../services/control/udp/server.js';
import type { Clock } from '../../../services/runtime/clock.js';
import type { Logger } from '../../../services/runtime/log.js';
import { RateLimitedWarning } from '../../../services/runtime/rate-limited-warning.js';
import type { Call } from '../../media/call.js';
import { NoInterfaceError, OutOfPortsError, RefusedError, SessionLimitError } from '../../media/errors.js';
import type { MediaRelay } from '../../media/media-relay.js';
import { otherSide } from '../../media/side.js';
import { ownCapabilities } from './capabilities.js';
import { CommandError } from './command-error.js';
import { readMedia } from './endpoint.js';
import { Holds } from './holds.js';
import { findParty, namesOf, partiesToEnd } from './session.js';
import { dialogCounters, infoOf, relayCounters } from './statistics.js';
import { Timeouts } from './timeouts.js';

export interface CommandsDeps {
  readonly media: MediaRelay;
  /** Of the port that the commands come to. */
  readonly counters: () => Readonly<UdpServerCounters>;
  readonly clock: Clock;
  readonly log: Logger;
}

const done = Buffer.from('0\n');
/** A party that answers without a name: an `L` without a second tag. */
const nameless = '';

/** The commands of rtpproxy's protocol, answered in its numbers. */
export class Commands {
  readonly #deps: CommandsDeps;
  readonly #holds = new Holds();
  readonly #timeouts: Timeouts;
  readonly #refused: RateLimitedWarning;

  constructor(deps: CommandsDeps) {
    this.#deps = deps;
    this.#refused = new RateLimitedWarning('request refused', deps.clock, deps.log);
    this.#timeouts = new Timeouts({ ...deps, sessions: deps.media.sessions });
  }

  /** What has ended is told to nobody from now on. */
  stop(): void {
    this.#timeouts.stop();
  }

  /** @param source address that it came from */
  async handle(request: RtpproxyRequest, source: string): Promise<Buffer> {
    const { log } = this.#deps;
    const { command, sessionId: callId } = request;
    try {
      const reply = await this.#dispatch(request, source);
      if (callId !== undefined) {
        log.debug({ callId, command, reply: reply.toString('latin1').trimEnd() }, 'command carried out');
      }
      return reply;
    } catch (error) {
      if (error instanceof CommandError) {
        log.debug({ callId, command, reply: error.message }, 'command refused');
        return errorReply(error.code);
      }
      if (error instanceof NoInterfaceError) {
        log.debug({ callId, command, reason: error.message }, 'command refused');
        return errorReply(errorCodes.addressFamily);
      }
      if (
        error instanceof SessionLimitError ||
        error instanceof OutOfPortsError ||
        error instanceof RefusedError
      ) {
        this.#refused.warn({ callId, command, reason: error.message });
        return errorReply(request.name === 'L' ? errorCodes.noSecondPort : errorCodes.noSession);
      }
      throw error;
    }
  }

  #dispatch(request: RtpproxyRequest, source: string): Promise<Buffer> | Buffer {
    if (request.hasSubCommand) {
      throw new CommandError(errorCodes.subCommand);
    }
    switch (request.name) {
      case 'V':
        return version(request);
      case 'U':
      case 'L':
        return this.#signal(request, source);
      case 'D':
        return this.#delete(request);
      case 'Q':
        return this.#query(request);
      case 'I':
        return formatInfo(infoOf(this.#deps.media), /l/i.test(request.modifiers));
      case 'G':
        return this.#counters(request);
      case 'R':
      case 'C':
      case 'N':
        return this.#record(request);
      case 'P':
      case 'S':
        return this.#play(request);
      default:
        throw new CommandError(errorCodes.unknownCommand);
    }
  }

  async #signal(request: RtpproxyRequest, source: string): Promise<Buffer> {
    const { sessions, sockets } = this.#deps.media;
    if (!request.media) {
      throw new CommandError(errorCodes.wordCount);
    }
    const { endpoint, isWeak, interfaces } = readMedia(request.media, sockets.interfaces);
    const { callId, from, to } = namesOf(request);
    const call = sessions.get(callId);
    // The interfaces of a session do not change.
    const wanted = call && findParty(call, { callId, from, to }) ? undefined : interfaces;
    const media = [endpoint];
    const parties = { callId, fromTag: from, toTag: to, branch: undefined, media, interfaces: wanted };
    const isUpdate = request.name === 'U';
    const ports = await (isUpdate
      ? sessions.offer(parties)
      : sessions.answer({ ...parties, toTag: to ?? this.#answererOf(callId, from) }));
    const [port] = ports ?? [];
    if (!port) {
      return request.unknownCall();
    }
    this.#keep(request, { isWeak, isUpdate }, source);
    return Buffer.from(`${port.rtp} ${port.address}${port.address.includes(':') ? ' 6' : ''}\n`);
  }

  #answererOf(callId: string, from: string): string {
    const call = this.#deps.media.sessions.get(callId);
    return (call && findParty(call, { callId, from, to: undefined })?.dialog.tags[1]) ?? nameless;
  }

  #keep(request: RtpproxyRequest, kept: { isWeak: boolean; isUpdate: boolean }, source: string): void {
    const names = namesOf(request);
    const call = this.#deps.media.sessions.get(names.callId);
    const party = call && findParty(call, names);
    if (party) {
      // What answers it comes from the other side than the first tag's.
      const speaker = kept.isUpdate ? party.side : otherSide(party.side);
      this.#holds.keep(party.dialog, speaker, kept);
      if (kept.isUpdate) {
        this.#timeouts.note(party.dialog, request, source);
      }
    }
  }

  async #delete(request: RtpproxyRequest): Promise<Buffer> {
    if (!/^w?$/i.test(request.modifiers)) {
      throw new CommandError(errorCodes.deleteModifier);
    }
    const isWeak = request.modifiers !== '';
    let isKnown = false;
    await this.#deps.media.sessions.end(namesOf(request).callId, (call) => {
      const parties = partiesToEnd(call, request);
      isKnown = parties !== undefined;
      return (parties ?? [])
        .filter(({ dialog, side }) => this.#holds.release(dialog, side, isWeak))
        .map(({ dialog }) => dialog);
    });
    if (!isKnown) {
      throw new CommandError(errorCodes.unknownSession);
    }
    return done;
  }

  /**
   * `R` both parties of a session, `C` the same under a name, `N` no longer. The file is a capture with both parties, as that of `Rs`.
   */
  async #record(request: RtpproxyRequest): Promise<Buffer> {
    const { recorder } = this.#deps.media;
    if (!recorder) {
      throw new CommandError(errorCodes.unknownCommand);
    }
    const allowed = { R: /^s?$/i, C: /^$/, N: /^a?$/i }[request.name as 'R' | 'C' | 'N'];
    if (!allowed.test(request.modifiers)) {
      throw new CommandError(errorCodes.modifiers);
    }
    const names = namesOf(request);
    const choose = (call: Call) => {
      const party = findParty(call, names);
      return party ? [party.dialog] : [];
    };
    const file = request.name === 'C' ? copyName(request) : names.callId;
    const count = await (request.name === 'N'
      ? recorder.stopDialogs(names.callId, choose)
      : recorder.startDialogs(names.callId, file, choose));
    if (!count) {
      throw new CommandError(errorCodes.unknownSession);
    }
    return done;
  }

  /** `P` plays to the party of the first tag, `S` stops that. The file is NAME.wav, whatever the codec. */
  async #play(request: RtpproxyRequest): Promise<Buffer> {
    const { player, sessions } = this.#deps.media;
    if (!player) {
      throw new CommandError(errorCodes.unknownCommand);
    }
    const times = request.modifiers;
    if (!/^(?:-1|\d{1,6}|)$/.test(times) || (request.name === 'S' && times !== '')) {
      throw new CommandError(errorCodes.playModifier);
    }
    const names = namesOf(request);
    const found = await sessions.change(names.callId, async (call) => {
      const hearer = findParty(call, names);
      if (!hearer) {
        return false;
      }
      if (request.name === 'S' || times === '0') {
        player.stop([hearer]);
        return true;
      }
      const [, name = '', codecs = 'session'] = request.words;
      const allowed = codecs === 'session' ? undefined : codecs.split(',').map(Number);
      const often = times === '-1' ? Number.POSITIVE_INFINITY : Number(times || 1);
      await player.play([hearer], `${name}.wav`, often, allowed).catch((error) => {
        if (error instanceof RefusedError) {
          throw new CommandError(errorCodes.noPlayer);
        }
        throw error;
      });
      return true;
    });
    if (!found) {
      throw new CommandError(errorCodes.unknownSession);
    }
    return done;
  }

  async #query(request: RtpproxyRequest): Promise<Buffer> {
    const names = namesOf(request);
    await this.#deps.media.sessions.count(names.callId);
    const call = this.#deps.media.sessions.get(names.callId);
    const party = call && findParty(call, names);
    if (!party) {
      throw new CommandError(errorCodes.unknownSession);
    }
    const nowMs = this.#deps.clock.monotonicMs();
    const counters = dialogCounters(party.dialog, nowMs, request.words.slice(3));
    return mergeCounters([counters.values], /v/i.test(request.modifiers) ? counters.names : undefined);
  }

  #counters(request: RtpproxyRequest): Buffer {
    const { media, counters } = this.#deps;
    const values = relayCounters(media, counters(), request.words);
    return mergeCounters([values], request.modifiers === '' ? undefined : request.words);
  }
}

function version({ modifiers, words: [day = ''] }: RtpproxyRequest): Buffer {
  const has = (ownCapabilities as readonly string[]).includes(day);
  return Buffer.from(modifiers === '' ? `${baseVersion}\n` : `${has ? 1 : 0}\n`);
}

/** Copies to another host are not made. */
function copyName({ words }: RtpproxyRequest): string {
  const name = words[1] ?? '';
  if (/^udp:/i.test(name)) {
    throw new CommandError(errorCodes.unknownCommand);
  }
  return name;
}
