import { isIPv6 } from 'node:net';
import {
  connectionLine,
  iceLine,
  type MediaSection,
  mediaLine,
  rtcpLine,
  SdpError,
  type SessionDescription,
} from '../../../services/control/ng/session-description.js';
import { isUnspecified } from '../../../services/runtime/address.js';
import type { LocalPorts } from '../../media/endpoint.js';
import type { IceCredentials } from '../../media/ice/credentials.js';

/** What a=rtcp is to be: as the party sent it, left out, or always there and with the address (RFC 3605). */
export type RtcpAttribute = 'as-sent' | 'none' | 'full';

export interface Rewrite {
  /** For the session: the relay's address, as the other party reaches it. */
  readonly address: string;
  readonly kind: 'offer' | 'answer';
  readonly replaceOrigin: boolean;
  /** Where RTCP shares the port of RTP there is no other one to fall back to. Default false. */
  readonly muxOnly?: boolean;
  readonly rtcpAttribute: RtcpAttribute;
  /** The relay's ports, one entry for each media, in order; undefined leaves the media as it is. */
  readonly media: readonly (LocalPorts | undefined)[];
}

const muxLine = /^a=rtcp-mux(?:-only)?\s*$/;
const originLine = /^(o=\S+ \S+ \S+) IN IP[46] \S+/;

/**
 * The description with the relay's transport addresses in place of the party's; all other lines leave as they came. What a party
 * says of ICE is for the relay; the other party is told the relay's own, or uses c= and m=.
 * @throws SdpError if `rewrite.media` has not one entry for each media
 */
export function rewriteSdp({ session, sections }: SessionDescription, rewrite: Rewrite): string {
  if (rewrite.media.length !== sections.length) {
    throw new SdpError('one replacement for each media is needed');
  }
  const sessionAddress = session.map((line) => connectionLine.exec(line)?.[1]).find(Boolean);
  const inherits = (address: string) =>
    sessionAddress !== undefined && (isUnspecified(sessionAddress) || address === rewrite.address);
  const usesIce = rewrite.media.some((ports) => ports?.ice);
  const lines = session.filter((line) => !iceLine.test(line)).map((line) => sessionLine(line, rewrite));
  if (usesIce) {
    lines.push('a=ice-lite');
  }
  sections.forEach((section, index) => {
    const ports = rewrite.media[index];
    lines.push(
      ...(ports ? replaced(section, ports, rewrite, inherits(ports.address)) : kept(section, session)),
    );
  });
  return `${lines.join('\r\n')}\r\n`;
}

/** The session's c= is replaced above such a media, so the media must now state its own address. */
function kept({ lines, media }: MediaSection, session: readonly string[]): string[] {
  const inherited = session.find((line) => connectionLine.test(line));
  const needsOwn = media.port !== 0 && inherited && !lines.some((line) => line.startsWith('c='));
  if (!needsOwn) {
    return [...lines];
  }
  return withConnection(lines, inherited);
}

/** RFC 8866 section 5: i= comes before c=. */
function withConnection(lines: readonly string[], connection: string): string[] {
  const at = lines[1]?.startsWith('i=') ? 2 : 1;
  return [...lines.slice(0, at), connection, ...lines.slice(at)];
}

/** @param inherits whether the session's c= says where this media is, if it has none of its own */
function replaced(
  { media, lines }: MediaSection,
  ports: LocalPorts,
  rewrite: Rewrite,
  inherits: boolean,
): string[] {
  // RFC 5761 section 5.1.1: beside rtcp-mux, an offer's a=rtcp is the port to fall back to, while an
  // answer that agrees to multiplexing has no other port than that of RTP.
  const muxed = ports.rtcpMux && (media.rtcpMuxOnly || rewrite.muxOnly === true || rewrite.kind === 'answer');
  const rtcpPort = muxed ? ports.rtp : ports.rtcp;
  const full = `a=rtcp:${rtcpPort} ${network(ports.address)}`;
  const without = rewrite.rtcpAttribute !== 'as-sent';
  const body = lines
    .filter((line) => !iceLine.test(line) && !(without && rtcpLine.test(line)))
    .filter((line) => ports.rtcpMux || !muxLine.test(line))
    .map((line, index) => {
      if (index === 0) {
        return line.replace(mediaLine, `m=$1 ${ports.rtp} $3`);
      }
      if (line.startsWith('c=')) {
        return connection(line, ports.address);
      }
      if (rtcpLine.test(line)) {
        return line.includes(' ') ? full : `a=rtcp:${rtcpPort}`;
      }
      return line;
    });
  const placed =
    inherits || body.some((line) => line.startsWith('c='))
      ? body
      : withConnection(body, `c=${network(ports.address)}`);
  const mux = ports.rtcpMux && !media.rtcpMux ? ['a=rtcp-mux'] : [];
  // A party that does not know of rtcp-mux looks for RTCP where this says.
  const port = muxed && mux.length > 0 && rewrite.rtcpAttribute === 'as-sent' ? [`a=rtcp:${rtcpPort}`] : [];
  const hasPort = placed.some((line) => rtcpLine.test(line));
  const ice = ports.ice ? iceLines(ports.ice, ports, muxed) : [];
  return [
    ...placed,
    ...ice,
    ...(hasPort ? [] : port),
    ...(rewrite.rtcpAttribute === 'full' ? [full] : []),
    ...mux,
  ];
}

/** RFC 8839: one candidate of the host for each component; its priority as RFC 8445 section 5.1.2.1 has it. */
function iceLines({ ufrag, password }: IceCredentials, ports: LocalPorts, muxed: boolean): string[] {
  const candidate = (component: 1 | 2, port: number) =>
    `a=candidate:1 ${component} UDP ${2_130_706_432 - component} ${ports.address} ${port} typ host`;
  return [
    `a=ice-ufrag:${ufrag}`,
    `a=ice-pwd:${password}`,
    candidate(1, ports.rtp),
    ...(muxed ? [] : [candidate(2, ports.rtcp)]),
    'a=end-of-candidates',
  ];
}

function sessionLine(line: string, rewrite: Rewrite): string {
  if (line.startsWith('c=')) {
    return connection(line, rewrite.address);
  }
  if (rewrite.replaceOrigin && line.startsWith('o=')) {
    return line.replace(originLine, (_, start: string) => `${start} ${network(rewrite.address)}`);
  }
  return line;
}

/** RFC 3264 section 8.4: the old way to say hold is the address 0.0.0.0; the other party must see it. */
function connection(line: string, address: string): string {
  const own = connectionLine.exec(line)?.[1];
  return own !== undefined && isUnspecified(own) ? line : `c=${network(address)}`;
}

function network(address: string): string {
  return `IN IP${isIPv6(address) ? 6 : 4} ${address}`;
}
