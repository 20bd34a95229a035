import type { Reading } from '../../control/protocol.js';
import { errorCodes, errorReply } from '../../control/rtpproxy/errors.js';
import { Notifier } from '../../control/rtpproxy/notifier.js';
import { resolveSelf, selfHost } from '../../control/rtpproxy/notify-socket.js';
import type { RtpproxyRequest } from '../../control/rtpproxy/request.js';
import { decodeTag, unwrapNotice, wrapNotice } from '../../control/rtpproxy/timeout-notice.js';
import { formatStreamAddress, parseStreamAddress } from '../../control/stream/address.js';
import type { Address } from '../../runtime/address.js';
import { RateLimitedWarning } from '../../runtime/rate-limited-warning.js';
import { LostSessions, type LostSessionsDeps } from './lost-sessions.js';
import { TimeoutListener, type TimeoutListenerDeps } from './timeout-listener.js';

export interface NotificationOptions {
  /** Where relays tell of timeouts. */
  readonly listen: Address;
  /** Sockets that SIP proxies are told at, with `%%CC_SELF%%` for whichever proxy names it. */
  readonly sockets: readonly string[];
}

export type NotificationsDeps = Omit<LostSessionsDeps, 'tell'> & Pick<TimeoutListenerDeps, 'accept'>;

/**
 * Timeouts of sessions, and keys that are pressed in them, on their way from relays to SIP proxies:
 *
 *     proxy ── U … tcp:PROXY TAG ──► gateway ── U … tcp:%%CC_SELF%%:PORT "tcp:PROXY TAG" ──► relay
 *     proxy ◄────────── TAG ──────── gateway ◄──────────── tcp:PROXY TAG ─────────────────── relay
 *
 * A relay is told to tell the gateway, in a tag that says whom the gateway is to tell. Nothing is kept for it: whichever gateway
 * is told passes it on.
 */
export class Notifications {
  readonly #options: NotificationOptions;
  readonly #listener: TimeoutListener;
  readonly #notifier: Notifier;
  readonly #lost: LostSessions;
  readonly #notAllowed: RateLimitedWarning;
  #unknown = 0;

  constructor(deps: NotificationsDeps, options: NotificationOptions) {
    const { clock, log } = deps;
    this.#options = options;
    this.#notifier = new Notifier(deps);
    this.#listener = new TimeoutListener({
      ...deps,
      listen: options.listen,
      heard: (line) => this.#heard(line),
    });
    this.#lost = new LostSessions({ ...deps, tell: (line) => this.#heard(line) });
    this.#notAllowed = new RateLimitedWarning('timeouts are not told at this socket', clock, log);
  }

  /** `noticesUnknown`: lines of relays that are no notices, or for a socket that is not allowed. */
  get counters(): Readonly<Record<'noticesTold' | 'noticesLost' | 'noticesUnknown', number>> {
    return { ...this.#notifier.counters, noticesUnknown: this.#unknown };
  }

  /** @throws Error naming the address, if it cannot be listened on */
  async start(): Promise<void> {
    await this.#listener.start();
    this.#lost.start();
  }

  async stop(): Promise<void> {
    this.#lost.stop();
    await this.#listener.stop();
    this.#notifier.stop();
  }

  /** A `U` as it goes to a relay. As with rtpproxy, a socket that is not allowed is no reason to refuse it. */
  redirect(request: RtpproxyRequest, source: string): Reading<RtpproxyRequest> {
    const [named = '', tag = ''] = request.notify;
    if (decodeTag(tag) === undefined) {
      return { kind: 'refused', reply: errorReply(errorCodes.urlEncoding) };
    }
    const socket = this.#allowed(named, source);
    if (socket === undefined) {
      this.#notAllowed.warn({ socket: named, source });
      return request.notifying([]);
    }
    const wrapped = (its: string) => wrapNotice({ socket, tag: its });
    return request.notifying([`tcp:${selfHost}:${this.#listener.port}`, wrapped(tag)], wrapped);
  }

  /** A request that names no socket, and wants keys to be told at the one that its session has. */
  redirectKeys(request: RtpproxyRequest, [, tag = '']: readonly string[]): Reading<RtpproxyRequest> {
    const told = unwrapNotice(decodeTag(tag) ?? '');
    return told
      ? request.notifying([], (its) => wrapNotice({ socket: told.socket, tag: its }))
      : { kind: 'request', request };
  }

  /** @returns the socket as others may name it; undefined if it is not allowed */
  #allowed(named: string, source: string): string | undefined {
    const socket = canonical(named, source);
    const isAllowed = this.#options.sockets.some((each) => canonical(each, source) === socket);
    return isAllowed ? socket : undefined;
  }

  #heard(line: string): void {
    const notice = unwrapNotice(line);
    const target = notice && parseStreamAddress(notice.socket);
    // Whoever reaches the port could name any socket.
    if (target && this.#allowed(notice.socket, 'host' in target ? target.host : '') !== undefined) {
      this.#notifier.tell(notice);
    } else {
      this.#unknown++;
    }
  }
}

function canonical(socket: string, source: string): string | undefined {
  const parsed = parseStreamAddress(resolveSelf(socket, source));
  return parsed && formatStreamAddress(parsed);
}
