import type { CarriedCall } from '../domain/call.js';
import type { Relay, RelayKind } from '../domain/relay.js';

/**
 * What the gateway's policies and the relay node know of a relay's control protocol: how to read a request, what a reply to it
 * means, and how to end a call and ask for one. Everything else is bytes that pass through.
 */
export interface ControlProtocol {
  readonly name: ProtocolName;
  /** @param body the datagram without its cookie */
  read(body: Buffer): Reading<ControlRequest>;
  /** A request that ends the call, or of a forked one the dialog that the tags name. */
  deleteRequest(call: CallParties): ControlRequest;
  /** A request that ends all of the call, as far as one can. */
  endRequest(call: CallParties): ControlRequest;
  /**
   * A request that an existing call answers with `accepted`, and one that the relay does not know with `unknown-call`. Where a
   * relay knows a call by its tags, both kinds of request need them.
   */
  queryRequest(call: CallParties): ControlRequest;
  /** What the reply to a query tells of the call. */
  callIn(reply: Buffer): CarriedCall;
  /** A request for the Call-IDs that a relay carries, as many as `limit`; undefined if there is none. */
  listRequest(limit: number): ControlRequest | undefined;
  /** Undefined if the reply is no list. */
  callIdsIn(reply: Buffer): readonly Buffer[] | undefined;
}

export const protocolNames = ['ng', 'rtpproxy'] as const;
export type ProtocolName = (typeof protocolNames)[number];

/** The protocol that a relay is controlled by at its control URL. */
const protocolOf: Readonly<Record<RelayKind, ProtocolName>> = {
  rtpengine: 'ng',
  builtin: 'ng',
  rtpproxy: 'rtpproxy',
};

/** Where a relay is controlled by a protocol; undefined if it does not speak it. */
export function controlUrlOf(
  { kind, controlUrl, rtpproxyUrl }: Pick<Relay, 'kind' | 'controlUrl' | 'rtpproxyUrl'>,
  protocol: ProtocolName,
): string | undefined {
  if (protocolOf[kind] === protocol) {
    return controlUrl;
  }
  return protocol === 'rtpproxy' ? rtpproxyUrl : undefined;
}

/** The protocols that a relay speaks. */
export function protocolsOf(relay: Pick<Relay, 'kind' | 'controlUrl' | 'rtpproxyUrl'>): ProtocolName[] {
  return protocolNames.filter((protocol) => controlUrlOf(relay, protocol) !== undefined);
}

export type Reading<Request> =
  | { readonly kind: 'request'; readonly request: Request }
  /** It cannot be served, whoever is asked: the sender gets this reply. */
  | { readonly kind: 'refused'; readonly reply: Buffer }
  /** Not a request, such as a reply that went astray: answering it could go on for ever. */
  | { readonly kind: 'ignored' };

/** What a request is for. */
export type Act =
  /** Begins a call, or changes the media of one that exists: ng `offer`, rtpproxy `U`. */
  | 'begin'
  /** Adds to a call where that is, and begins one where there is none: rtpproxy `U` of a second stream. */
  | 'extend'
  /** The other party's media. The relay's consent makes the call an answered one: ng `answer`, rtpproxy `L`. */
  | 'answer'
  /** Needs a call that exists. */
  | 'in-dialog'
  | 'delete'
  | 'query'
  /** About all calls: ng `list` and `statistics`, rtpproxy `I` and `G`. */
  | 'list'
  /** Whether a relay is there, and what it is: ng `ping`, rtpproxy `V`. */
  | 'ping'
  /** A command of tomorrow: a relay may know it, and it may begin a call. */
  | 'unknown';

/** Names are bytes: a Call-ID may be anything, and must reach the relay as it came. */
export interface CallParties {
  readonly callId: Buffer;
  readonly fromTag?: Buffer | undefined;
  /** A dialog has one once the other side has answered (RFC 3261 section 12). */
  readonly toTag?: Buffer | undefined;
}

/** A request, and the words in which its sender is answered. */
export interface ControlRequest {
  readonly protocol: ProtocolName;
  readonly act: Act;
  /** As its sender wrote it, for logs. */
  readonly command: string;
  /** The command alone, or `other`: of a set that no sender can add to, for metrics. */
  readonly commandName: string;
  /** What the call is bound by. Undefined if it names no call: then it is about none, or the relay makes an id. */
  readonly callId: Buffer | undefined;
  /** What the relay knows the call by; undefined if it names no call. */
  readonly parties: CallParties | undefined;
  /**
   * Other calls that the relay is to join with this one, which it can only if it carries them all. Where the request begins a
   * call: the one that it is to be joined with later.
   */
  readonly joinedCallIds: readonly Buffer[];
  /** Features of a relay that the request should go to, if it begins a call; none if any relay will do. */
  readonly needs: readonly string[];
  /** What its sender has asked to be told should the relay be lost, in words of the front; none, if it has not. */
  readonly notices: readonly string[];
  /** Of a delete that says so: the relay carries on with the call for so long, s. */
  readonly deleteDelaySeconds?: number | undefined;
  /** Goes to the relay as it came, byte for byte. */
  readonly body: Buffer;

  /** What a relay's reply to this request means. */
  judge(reply: Buffer): Verdict;
  /** Done, with a remark for whoever reads the reply. */
  ok(remark: string): Buffer;
  error(reason: string): Buffer;
  /** No relay carries the call. */
  unknownCall(): Buffer;
  /** No relay takes the call: the sender tries its next server. @param reason for whoever reads the reply */
  full(reason: string): Buffer;
}

export type Verdict =
  | {
      readonly kind: 'accepted';
      /** The relay has made an id for a call that the request did not name. */
      readonly madeCallId?: Buffer | undefined;
    }
  /** A delete that met nothing: the relay does not know the call, or no tag of it matched. */
  | { readonly kind: 'unchanged' }
  /** The relay has no room. Another one may. */
  | { readonly kind: 'full'; readonly reason: string }
  /** The relay cannot do what the request asks for. Another one may. */
  | { readonly kind: 'unsupported'; readonly reason: string }
  | { readonly kind: 'unknown-call' }
  | { readonly kind: 'error'; readonly reason: string };
