import { randomBytes } from 'node:crypto';
import { NgClient } from '../../services/control/ng/client.js';
import type { NgDictionary } from '../../services/control/ng/message.js';
import type { UdpRequestOptions } from '../../services/control/udp/client.js';

export interface SdpOptions {
  readonly address: string;
  readonly port: number;
  readonly rtcpPort?: number;
  readonly version?: number;
  readonly direction?: 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';
  /** Lines after the audio media section, such as more media sections. */
  readonly more?: readonly string[];
}

/** The SDP of a SIP phone with one audio stream. */
export function audioSdp(options: SdpOptions): string {
  const { address, port, rtcpPort, version = 1, direction = 'sendrecv', more = [] } = options;
  const family = address.includes(':') ? 'IP6' : 'IP4';
  return [
    'v=0',
    `o=phone 3890283498 ${version} IN ${family} ${address}`,
    's=call',
    `c=IN ${family} ${address}`,
    't=0 0',
    `m=audio ${port} RTP/AVP 8 0 101`,
    'a=rtpmap:8 PCMA/8000',
    'a=rtpmap:0 PCMU/8000',
    'a=rtpmap:101 telephone-event/8000',
    'a=fmtp:101 0-15',
    'a=ptime:20',
    ...(rtcpPort === undefined ? [] : [`a=rtcp:${rtcpPort}`]),
    `a=${direction}`,
    ...more,
    '',
  ].join('\r\n');
}

export interface MediaAddress {
  readonly address: string;
  readonly port: number;
  readonly rtcpPort: number;
}

/** Where an SDP wants its media sent, one entry per m= line. Independent of the relays' SDP code, which it checks. */
export function mediaAddresses(sdp: string): MediaAddress[] {
  let sessionAddress = '';
  const media: { address: string; port: number; rtcpPort: number }[] = [];
  for (const line of sdp.split(/\r?\n/)) {
    const current = media.at(-1);
    const connection = /^c=IN IP[46] ([^/\s]+)/.exec(line)?.[1];
    const port = /^m=\S+ (\d+)/.exec(line)?.[1];
    const rtcpPort = /^a=rtcp:(\d+)/.exec(line)?.[1];
    if (port !== undefined) {
      media.push({ address: sessionAddress, port: Number(port), rtcpPort: Number(port) + 1 });
    } else if (connection !== undefined && current) {
      current.address = connection;
    } else if (connection !== undefined) {
      sessionAddress = connection;
    } else if (rtcpPort !== undefined && current) {
      current.rtcpPort = Number(rtcpPort);
    }
  }
  return media;
}

/** The first media address of an ng reply; fails with the reply's error if there is none. */
export function relayedTo(reply: NgDictionary): MediaAddress {
  const first = typeof reply['sdp'] === 'string' ? mediaAddresses(reply['sdp'])[0] : undefined;
  if (!first) {
    throw new Error(`no media in the reply: ${JSON.stringify(reply)}`);
  }
  return first;
}

export interface CallTags {
  readonly callId: string;
  readonly fromTag: string;
  readonly toTag: string;
}

export function newCall(): CallTags {
  const id = randomBytes(6).toString('hex');
  return { callId: `${id}@proxy.example`, fromTag: `from-${id}`, toTag: `to-${id}` };
}

/**
 * A SIP proxy in front of any relay or gateway that speaks ng: it sends the requests of Kamailio's rtpengine module for
 * an INVITE, its answer, re-INVITEs in both directions, and BYE.
 */
export class ProxyClient {
  readonly client: NgClient;

  constructor(host: string, port: number, options: { timeoutMs?: number; retransmitMs?: number } = {}) {
    this.client = new NgClient({ host, port, timeoutMs: 5000, retransmitMs: 1000, ...options });
  }

  start(): Promise<void> {
    return this.client.start();
  }

  stop(): Promise<void> {
    return this.client.stop();
  }

  request(body: NgDictionary, options?: UdpRequestOptions): Promise<NgDictionary> {
    return this.client.request(body, options);
  }

  /** Offers the SDP of an INVITE: at first with the caller's tag only, later (`inDialog`) with both tags. */
  offer(
    call: CallTags,
    sdp: string,
    options: { inDialog?: boolean; extra?: NgDictionary } = {},
  ): Promise<NgDictionary> {
    return this.request({
      ...this.#media('offer', call, sdp),
      ...(options.inDialog ? { 'to-tag': call.toTag } : {}),
      ...options.extra,
    });
  }

  /** Answers with the SDP of a 200 OK. The tags are those of the request that is answered. */
  answer(call: CallTags, sdp: string, extra: NgDictionary = {}): Promise<NgDictionary> {
    return this.request({ ...this.#media('answer', call, sdp), 'to-tag': call.toTag, ...extra });
  }

  delete(call: CallTags, extra: NgDictionary = {}): Promise<NgDictionary> {
    const { callId, fromTag, toTag } = call;
    return this.request({
      command: 'delete',
      'call-id': callId,
      'from-tag': fromTag,
      'to-tag': toTag,
      ...extra,
    });
  }

  query(call: Pick<CallTags, 'callId'>): Promise<NgDictionary> {
    return this.request({ command: 'query', 'call-id': call.callId });
  }

  ping(): Promise<NgDictionary> {
    return this.request({ command: 'ping' });
  }

  async list(limit?: number): Promise<string[]> {
    const reply = await this.request({ command: 'list', ...(limit === undefined ? {} : { limit }) });
    return Array.isArray(reply['calls']) ? reply['calls'].map(String) : [];
  }

  statistics(): Promise<NgDictionary> {
    return this.request({ command: 'statistics' });
  }

  #media(command: string, call: CallTags, sdp: string): NgDictionary {
    return {
      command,
      'call-id': call.callId,
      'from-tag': call.fromTag,
      sdp,
      replace: ['origin', 'session-connection'],
      ICE: 'remove',
      'received-from': ['IP4', '127.0.0.1'],
      supports: ['load limit'],
    };
  }
}

/** The same call as the callee sees it, for its re-INVITE or BYE. */
export function reversed(call: CallTags): CallTags {
  return { callId: call.callId, fromTag: call.toTag, toTag: call.fromTag };
}
