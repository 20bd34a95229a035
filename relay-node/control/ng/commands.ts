import {
  callId,
  command,
  fromTag,
  hasFlag,
  text,
  toTag,
  viaBranch,
  wholeNumber,
} from '../../../services/control/ng/fields.js';
import { errorReply, type NgDictionary, type NgMessage } from '../../../services/control/ng/message.js';
import { needsOf } from '../../../services/control/ng/needs.js';
import { SdpError, SessionDescription } from '../../../services/control/ng/session-description.js';
import { unsupportedOption } from '../../../services/control/ng/unsupported.js';
import type { Clock } from '../../../services/runtime/clock.js';
import type { Logger } from '../../../services/runtime/log.js';
import { RateLimitedWarning } from '../../../services/runtime/rate-limited-warning.js';
import type { Call } from '../../media/call.js';
import type { Dialog } from '../../media/dialog.js';
import { NoInterfaceError, OutOfPortsError, RefusedError, SessionLimitError } from '../../media/errors.js';
import type { Handling } from '../../media/leg.js';
import type { MediaRelay } from '../../media/media-relay.js';
import type { Player } from '../../media/prompts/player.js';
import type { CallRecorder } from '../../media/recording/call-recorder.js';
import type { Side } from '../../media/side.js';
import { endpointsOf } from './endpoints.js';
import { mediaOptions } from './options.js';
import { recordingFormat } from './recording-format.js';
import { callReport } from './report.js';
import { rewriteSdp } from './rewrite.js';
import { statisticsReport } from './statistics.js';

/** As many calls as rtpengine's `list` names when the request does not say how many. */
const defaultListLimit = 32;
const maxCallIdBytes = 4096;
const maxTagBytes = 512;
const maxDeleteDelaySeconds = 3600;
const playOptions = new Set([
  'command',
  'call-id',
  'call-ID',
  'from-tag',
  'to-tag',
  'via-branch',
  'flags',
  'all',
  'file',
  'repeat-times',
]);
const unknownCommand = 'Unrecognized command';

export interface CommandsDeps {
  readonly media: MediaRelay;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * The commands of the ng protocol, answered in rtpengine's words: SIP proxies look at some of the error
 * texts, and operators know them.
 */
export class Commands {
  readonly #deps: CommandsDeps;
  readonly #refused: RateLimitedWarning;

  constructor(deps: CommandsDeps) {
    this.#deps = deps;
    this.#refused = new RateLimitedWarning('request refused', deps.clock, deps.log);
  }

  async handle(message: NgMessage): Promise<NgDictionary> {
    const { log } = this.#deps;
    const reply = await this.#replyTo(message);
    const { body } = message;
    if (log.isLevelEnabled('debug') && callId(body) !== undefined) {
      const { result, 'error-reason': reason } = reply;
      log.debug(
        {
          callId: callId(body),
          command: command(body),
          result: String(result),
          reason: reason && String(reason),
        },
        'command carried out',
      );
    }
    return reply;
  }

  async #replyTo({ body }: NgMessage): Promise<NgDictionary> {
    try {
      return await this.#dispatch(body);
    } catch (error) {
      if (error instanceof SessionLimitError) {
        // Kamailio asks for the mild form: it then tries another relay without disabling this one.
        return hasFlag(body, 'supports', 'load limit') ? { result: 'load limit' } : errorReply(error.message);
      }
      if (error instanceof SdpError) {
        this.#refused.warn({ callId: callId(body), reason: `SDP: ${error.message}` });
        return errorReply('Failed to parse SDP');
      }
      if (error instanceof NoInterfaceError) {
        this.#refused.warn({ callId: callId(body), reason: error.message });
        return errorReply(unsupportedOption(error.missing === 'name' ? 'direction' : 'address-family'));
      }
      if (error instanceof OutOfPortsError || error instanceof RefusedError) {
        this.#refused.warn({ callId: callId(body), reason: error.message });
        return errorReply(error.message);
      }
      throw error;
    }
  }

  #dispatch(body: NgDictionary): Promise<NgDictionary> | NgDictionary {
    const { media } = this.#deps;
    const name = command(body);
    switch (name) {
      case 'ping':
        return { result: 'pong' };
      case 'offer':
      case 'answer':
        return this.#signal(name, body);
      case 'delete':
        return this.#delete(body);
      case 'query':
        return this.#query(body);
      case 'start recording':
      case 'stop recording':
        return media.recorder ? this.#record(name, body, media.recorder) : errorReply(unknownCommand);
      case 'play media':
      case 'stop media':
        return media.player ? this.#play(name, body, media.player) : errorReply(unknownCommand);
      case 'block media':
        return this.#handle(body, 'block');
      case 'silence media':
        return this.#handle(body, 'silence');
      case 'unblock media':
      case 'unsilence media':
        return this.#handle(body, 'pass');
      case 'list':
        return { calls: media.sessions.ids(listLimit(body)), result: 'ok' };
      case 'statistics':
        return { statistics: statisticsReport(media, this.#deps.clock), result: 'ok' };
      case undefined:
        return errorReply('Dictionary contains no key "command"');
      default:
        return errorReply(unknownCommand);
    }
  }

  async #signal(kind: 'offer' | 'answer', body: NgDictionary): Promise<NgDictionary> {
    const { media } = this.#deps;
    const { interfaces } = media.sockets;
    const sdpText = text(body['sdp']);
    if (sdpText === undefined) {
      return errorReply('No SDP body in message');
    }
    const parties = {
      callId: requiredCallId(body),
      fromTag: tagField('from-tag', fromTag(body)),
      toTag: tagField('to-tag', toTag(body)),
      branch: tagField('via-branch', viaBranch(body)),
    };
    const { fromTag: from } = parties;
    if (from === undefined) {
      return errorReply('No from-tag in message');
    }
    if (kind === 'answer' && parties.toTag === undefined) {
      return errorReply('No to-tag in message');
    }
    const sdp = SessionDescription.parse(sdpText);
    const [need] = needsOf(body, sdp, {
      interfaces: interfaces.names,
      families: interfaces.families,
      ice: true,
      records: media.recorder !== undefined,
      dscp: media.dscp,
    });
    if (need) {
      throw new RefusedError(unsupportedOption(need.option));
    }
    const { source, isAsymmetric, wanted, mediaAddress, rtcpMux, isRecorded, ice, ...rewrite } =
      mediaOptions(body);
    const endpoints = endpointsOf(sdp, { source, isAsymmetric });
    const request = { ...parties, fromTag: from, media: endpoints, interfaces: wanted, rtcpMux, ice };
    const ports = await (kind === 'offer' ? media.sessions.offer(request) : media.sessions.answer(request));
    if (!ports) {
      return errorReply('Unknown call-id');
    }
    if (isRecorded && media.recorder) {
      const format = recordingFormat(body, media.recorder.format);
      // The call goes on, whatever the disk does: that it does not is told by the log and by metrics.
      await media.recorder.startCall(request.callId, format).catch(ignoreRefusal);
    }
    const told = ports.map((each) => each && { ...each, address: mediaAddress ?? each.address });
    const address = told.find((each) => each)?.address ?? interfaces.first.advertised;
    const rewritten = rewriteSdp(sdp, { ...rewrite, address, kind, media: told, muxOnly: rtcpMux.require });
    // What came as bytes leaves as bytes: Latin-1 text has one character for each.
    return {
      sdp: Buffer.isBuffer(body['sdp']) ? Buffer.from(rewritten, 'latin1') : rewritten,
      result: 'ok',
    };
  }

  /** The whole call, as in rtpengine, whoever is named. */
  async #record(
    name: 'start recording' | 'stop recording',
    body: NgDictionary,
    recorder: CallRecorder,
  ): Promise<NgDictionary> {
    const id = requiredCallId(body);
    const isKnown = await (name === 'start recording'
      ? recorder.startCall(id, recordingFormat(body, recorder.format))
      : recorder.stopCall(id));
    return isKnown ? { result: 'ok' } : errorReply('Unknown call-id');
  }

  /** What a party sends, or if none is named what all of them send. */
  async #handle(body: NgDictionary, handling: Handling): Promise<NgDictionary> {
    const tag = partyTag(body);
    const handled = await this.#deps.media.sessions.change(requiredCallId(body), (call) => {
      const parties = partiesOf(call, tag);
      for (const { dialog, side } of parties) {
        dialog.handle(side, handling);
      }
      return parties.length;
    });
    if (handled === undefined) {
      return errorReply('Unknown call-ID');
    }
    return handled === 0 ? errorReply('From-tag given, but no such tag exists') : { result: 'ok' };
  }

  /** To a party, or if none is named to all of them. */
  async #play(name: 'play media' | 'stop media', body: NgDictionary, player: Player): Promise<NgDictionary> {
    const file = text(body['file']);
    const times = wholeNumber(body, ['repeat-times', 'repeat times']) ?? 1;
    const unknown = Object.keys(body).find((key) => !playOptions.has(key.replaceAll(' ', '-')));
    if (unknown !== undefined) {
      throw new RefusedError(unsupportedOption(unknown));
    }
    if (name === 'play media' && file === undefined) {
      return errorReply('No media file specified');
    }
    const tag = partyTag(body);
    const played = await this.#deps.media.sessions.change(requiredCallId(body), async (call) => {
      const parties = partiesOf(call, tag);
      if (parties.length === 0 || file === undefined || name === 'stop media') {
        player.stop(parties);
        return { parties: parties.length, duration: undefined };
      }
      return { parties: parties.length, duration: await player.play(parties, file, Math.max(1, times)) };
    });
    if (!played) {
      return errorReply('Unknown call-ID');
    }
    if (played.parties === 0) {
      return errorReply('From-tag given, but no such tag exists');
    }
    return { ...(played.duration === undefined ? {} : { duration: played.duration }), result: 'ok' };
  }

  async #delete(body: NgDictionary): Promise<NgDictionary> {
    const request = {
      callId: requiredCallId(body),
      ...defined('fromTag', fromTag(body)),
      ...defined('toTag', toTag(body)),
      ...defined('branch', viaBranch(body)),
      delayMs: deleteDelayMs(body),
    };
    const { media, clock } = this.#deps;
    await media.sessions.count(request.callId);
    const ended = await media.sessions.delete(request, (call) => callReport(call, clock));
    if (ended) {
      return { ...ended, result: 'ok' };
    }
    const reason = "Call-ID not found or tags didn't match";
    // Success all the same, as with rtpengine: a BYE that comes twice is nobody's fault.
    return hasFlag(body, 'flags', 'fatal') ? errorReply(reason) : { warning: reason, result: 'ok' };
  }

  async #query(body: NgDictionary): Promise<NgDictionary> {
    const { media, clock } = this.#deps;
    const id = requiredCallId(body);
    await media.sessions.count(id);
    const call = media.sessions.get(id);
    if (!call) {
      return errorReply('Unknown call-id');
    }
    return { ...callReport(call, clock), result: 'ok' };
  }
}

function requiredCallId(body: NgDictionary): string {
  const id = callId(body);
  if (id === undefined) {
    throw new RefusedError('No call-id in message');
  }
  if (Buffer.byteLength(id) > maxCallIdBytes) {
    throw new RefusedError(`Call-id longer than ${maxCallIdBytes} bytes`);
  }
  return id;
}

function tagField(name: string, value: string | undefined): string | undefined {
  if (value !== undefined && Buffer.byteLength(value) > maxTagBytes) {
    throw new RefusedError(`${name} longer than ${maxTagBytes} bytes`);
  }
  return value;
}

function defined<K extends string>(key: K, value: string | undefined): { [P in K]?: string } {
  return value === undefined ? {} : ({ [key]: value } as { [P in K]?: string });
}

/** Proxies write the limit as a number or as text. */
function listLimit(body: NgDictionary): number {
  return wholeNumber(body, ['limit']) ?? defaultListLimit;
}

/** Undefined if the request does not say how long a deleted call is kept. */
function deleteDelayMs(body: NgDictionary): number | undefined {
  const seconds = wholeNumber(body, ['delete-delay', 'delete delay']);
  return seconds === undefined ? undefined : Math.min(seconds, maxDeleteDelaySeconds) * 1000;
}

/** Undefined: all parties. */
function partyTag(body: NgDictionary): string | undefined {
  return hasFlag(body, 'flags', 'all') || body['all'] !== undefined ? undefined : fromTag(body);
}

/** Everywhere in the call where the party of the tag is; all parties if there is no tag. */
function partiesOf(call: Call, tag: string | undefined): { readonly dialog: Dialog; readonly side: Side }[] {
  return [...call.dialogs].flatMap((dialog) =>
    ([0, 1] as const)
      .filter((side) => tag === undefined || dialog.tags[side] === tag)
      .map((side) => ({ dialog, side })),
  );
}

/** @throws anything else */
function ignoreRefusal(error: unknown): void {
  if (!(error instanceof RefusedError)) {
    throw error;
  }
}
