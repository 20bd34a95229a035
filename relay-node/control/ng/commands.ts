import {
  callId,
  command,
  fromTag,
  hasFlag,
  text,
  toTag,
  viaBranch,
} from '../../../services/control/ng/fields.js';
import { errorReply, type NgDictionary, type NgMessage } from '../../../services/control/ng/message.js';
import type { Clock } from '../../../services/runtime/clock.js';
import type { Logger } from '../../../services/runtime/log.js';
import { RefusedError } from '../../media/dialog.js';
import { type MediaRequest, SessionLimitError, type Sessions } from '../../media/sessions.js';
import { type MediaSockets, OutOfPortsError } from '../../media/sockets.js';
import { callReport } from './report.js';
import { SdpError, SessionDescription } from './sdp.js';

/** As many calls as rtpengine's `list` names when the request does not say how many. */
const defaultListLimit = 32;
const maxCallIdBytes = 1024;
const maxTagBytes = 512;

/**
 * The commands of the ng protocol, answered in rtpengine's words: SIP proxies look at some of the error
 * texts, and operators know them.
 */
export class Commands {
  constructor(
    private readonly sessions: Sessions,
    private readonly sockets: MediaSockets,
    private readonly statistics: () => NgDictionary,
    private readonly clock: Clock,
    private readonly log: Logger,
  ) {}

  async handle({ body }: NgMessage): Promise<NgDictionary> {
    try {
      return await this.#dispatch(body);
    } catch (error) {
      if (error instanceof SessionLimitError) {
        // Kamailio asks for the mild form: it then tries another relay without disabling this one.
        return hasFlag(body, 'supports', 'load limit') ? { result: 'load limit' } : errorReply(error.message);
      }
      if (error instanceof SdpError) {
        this.log.info({ callId: callId(body), reason: error.message }, 'SDP refused');
        return errorReply('Failed to parse SDP');
      }
      if (error instanceof OutOfPortsError || error instanceof RefusedError) {
        this.log.warn({ callId: callId(body), reason: error.message }, 'request refused');
        return errorReply(error.message);
      }
      throw error;
    }
  }

  #dispatch(body: NgDictionary): Promise<NgDictionary> | NgDictionary {
    const name = command(body);
    switch (name) {
      case 'ping':
        return { result: 'pong' };
      case 'offer':
      case 'answer':
        return this.#media(name, body);
      case 'delete':
        return this.#delete(body);
      case 'query':
        return this.#query(body);
      case 'list':
        return { calls: this.sessions.ids(listLimit(body)), result: 'ok' };
      case 'statistics':
        return { statistics: this.statistics(), result: 'ok' };
      case undefined:
        return errorReply('Dictionary contains no key "command"');
      default:
        return errorReply('Unrecognized command');
    }
  }

  async #media(kind: 'offer' | 'answer', body: NgDictionary): Promise<NgDictionary> {
    const sdpText = text(body['sdp']);
    if (sdpText === undefined) {
      return errorReply('No SDP body in message');
    }
    const id = requiredCallId(body);
    const tag = tagField('from-tag', fromTag(body));
    if (tag === undefined) {
      return errorReply('No from-tag in message');
    }
    const to = tagField('to-tag', toTag(body));
    if (kind === 'answer' && to === undefined) {
      return errorReply('No to-tag in message');
    }
    const request: MediaRequest = {
      callId: id,
      fromTag: tag,
      toTag: to,
      branch: tagField('via-branch', viaBranch(body)),
      sdp: SessionDescription.parse(sdpText),
      replaceOrigin: hasFlag(body, 'replace', 'origin'),
      source: sipSource(body),
    };
    const sdp = await (kind === 'offer' ? this.sessions.offer(request) : this.sessions.answer(request));
    return sdp === undefined ? errorReply('Unknown call-id') : { sdp, result: 'ok' };
  }

  async #delete(body: NgDictionary): Promise<NgDictionary> {
    const ended = await this.sessions.delete(
      {
        callId: requiredCallId(body),
        ...defined('fromTag', fromTag(body)),
        ...defined('toTag', toTag(body)),
        ...defined('branch', viaBranch(body)),
      },
      (call) => callReport(call, this.sockets, this.#toWallSeconds()),
    );
    // Success all the same, as with rtpengine: a BYE that comes twice is nobody's fault.
    return ended
      ? { ...ended, result: 'ok' }
      : { warning: "Call-ID not found or tags didn't match", result: 'ok' };
  }

  #query(body: NgDictionary): NgDictionary {
    const call = this.sessions.get(requiredCallId(body));
    if (!call) {
      return errorReply('Unknown call-id');
    }
    return { ...callReport(call, this.sockets, this.#toWallSeconds()), result: 'ok' };
  }

  #toWallSeconds(): (monotonicMs: number) => number {
    const offsetMs = this.clock.wallMs() - this.clock.monotonicMs();
    return (monotonicMs) => Math.floor((monotonicMs + offsetMs) / 1000);
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
  const asked = text(body['limit']) ?? body['limit'];
  const limit = typeof asked === 'object' ? Number.NaN : Number(asked ?? defaultListLimit);
  return Number.isSafeInteger(limit) && limit >= 0 ? limit : defaultListLimit;
}

/** With this flag, the address that the SIP message came from is believed instead of the SDP's. */
function sipSource(body: NgDictionary): string | undefined {
  if (!hasFlag(body, 'flags', 'SIP-source-address')) {
    return undefined;
  }
  const received = body['received-from'] ?? body['received from'];
  return Array.isArray(received) ? text(received[1]) : undefined;
}
