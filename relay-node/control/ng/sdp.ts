import { isIPv6 } from 'node:net';
import { type Direction, isUnspecified, type LocalPorts } from '../../media/endpoint.js';

export class SdpError extends Error {
  override readonly name = 'SdpError';
}

export interface MediaDescription {
  /** audio, video, image, … */
  readonly type: string;
  /** 0: the media is rejected, or switched off. */
  readonly port: number;
  readonly protocol: string;
  /** Of the media's own c= line, else of the session's. */
  readonly address: string | undefined;
  /** a=rtcp (RFC 3605), or else the next port up. */
  readonly rtcp: { readonly address: string | undefined; readonly port: number };
  readonly rtcpMux: boolean;
  /** RFC 8858: there is no RTCP port to fall back to. */
  readonly rtcpMuxOnly: boolean;
  readonly direction: Direction;
  /** Keys are in the SDP (a=crypto, RFC 4568) or follow from it (a=fingerprint, RFC 8122), of the media or the session. */
  readonly keys: 'sdes' | 'dtls' | undefined;
}

/** What a=rtcp is to be: as the party sent it, left out, or always there and with the address (RFC 3605). */
export type RtcpAttribute = 'as-sent' | 'none' | 'full';

export interface Rewrite {
  /** The relay's address, as the parties reach it. */
  readonly address: string;
  readonly kind: 'offer' | 'answer';
  readonly replaceOrigin: boolean;
  readonly rtcpAttribute: RtcpAttribute;
  /** The relay's ports, one entry for each media, in order; undefined leaves the media as it is. */
  readonly media: readonly (LocalPorts | undefined)[];
}

/** More lines than any phone sends; each one costs a little work. */
const maxLines = 4096;
const mediaLine = /^m=(\S{1,64}) (\d{1,5})(?:\/\d{1,5})? (\S{1,64})(?= |$)/;
const connectionLine = /^c=IN IP[46] ([^\s/]{1,255})/;
const rtcpLine = /^a=rtcp:(\d{1,5})(?: IN IP[46] (\S{1,255}))?\s*$/;
const directionLine = /^a=(sendrecv|sendonly|recvonly|inactive)\s*$/;
const originLine = /^(o=\S+ \S+ \S+) IN IP[46] \S+/;
/** RFC 8839: what ICE says. The relay is no ICE agent; without these lines both parties use c= and m=. */
const iceLine =
  /^a=(?:candidate|remote-candidates|end-of-candidates|ice-ufrag|ice-pwd|ice-options|ice-lite|ice-mismatch|ice-pacing)(?=:|\s|$)/;

const sdesLine = /^a=crypto:/;
const fingerprintLine = /^a=fingerprint:/;

interface Section {
  readonly media: MediaDescription;
  readonly lines: readonly string[];
}

/**
 * A session description (RFC 8866) as lines. Only the lines that name transport addresses are understood and replaced; all
 * others leave as they came. A reader that builds a tree and writes it back loses what it does not know (session
 * parameters of a=crypto, the order of attributes, odd codec names). Text is one character a byte where it is not UTF-8.
 */
export class SessionDescription {
  /** ICE attributes (RFC 8839) are somewhere in it. */
  readonly hasIce: boolean;
  readonly media: readonly MediaDescription[];
  readonly #session: readonly string[];
  readonly #sections: readonly Section[];

  private constructor(session: readonly string[], sections: readonly Section[]) {
    this.#session = session;
    this.#sections = sections;
    this.media = sections.map((section) => section.media);
    this.hasIce = [session, ...sections.map(({ lines }) => lines)].some((lines) =>
      lines.some((line) => iceLine.test(line)),
    );
  }

  /** @throws SdpError */
  static parse(text: string): SessionDescription {
    const lines = text.split(/\r\n|\n|\r/).filter((line) => line !== '');
    if (lines.length > maxLines) {
      throw new SdpError(`more than ${maxLines} lines`);
    }
    if (lines[0]?.trimEnd() !== 'v=0') {
      throw new SdpError('does not start with v=0');
    }
    const starts = lines.flatMap((line, index) => (line.startsWith('m=') ? [index] : []));
    const session = lines.slice(0, starts[0] ?? lines.length);
    const sections = starts.map((start, index) => {
      const own = lines.slice(start, starts[index + 1] ?? lines.length);
      return { media: describe(own, session), lines: own };
    });
    return new SessionDescription(session, sections);
  }

  /** @throws SdpError if `rewrite.media` has not one entry for each media */
  rewrite(rewrite: Rewrite): string {
    if (rewrite.media.length !== this.#sections.length) {
      throw new SdpError('one replacement for each media is needed');
    }
    const lines = this.#session
      .filter((line) => !iceLine.test(line))
      .map((line) => sessionLine(line, rewrite));
    this.#sections.forEach((section, index) => {
      const ports = rewrite.media[index];
      lines.push(...(ports ? replaced(section, ports, rewrite) : this.#kept(section)));
    });
    return `${lines.join('\r\n')}\r\n`;
  }

  /** The session's c= is replaced above such a media, so the media must now state its own address. */
  #kept({ lines, media }: Section): string[] {
    const inherited = this.#session.find((line) => connectionLine.test(line));
    const needsOwn = media.port !== 0 && inherited && !lines.some((line) => line.startsWith('c='));
    if (!needsOwn) {
      return [...lines];
    }
    // RFC 8866 section 5: i= comes before c=.
    const at = lines[1]?.startsWith('i=') ? 2 : 1;
    return [...lines.slice(0, at), inherited, ...lines.slice(at)];
  }
}

function describe(lines: readonly string[], session: readonly string[]): MediaDescription {
  const [, type, portText, protocol] = mediaLine.exec(lines[0] ?? '') ?? [];
  const port = Number(portText);
  if (type === undefined || protocol === undefined || port > 65_535) {
    throw new SdpError('bad m= line');
  }
  const address = find(lines, connectionLine)?.[1] ?? find(session, connectionLine)?.[1];
  if (address === undefined && port !== 0) {
    throw new SdpError('a media without a c= line');
  }
  const rtcp = find(lines, rtcpLine);
  const rtcpPort = Number(rtcp?.[1] ?? port + 1);
  const rtcpMuxOnly = has(lines, 'a=rtcp-mux-only');
  return {
    type,
    port,
    protocol,
    address,
    rtcp: { address: rtcp?.[2] ?? address, port: rtcpPort > 65_535 ? 0 : rtcpPort },
    rtcpMux: rtcpMuxOnly || has(lines, 'a=rtcp-mux'),
    rtcpMuxOnly,
    keys: keysOf(lines) ?? keysOf(session),
    direction: ((find(lines, directionLine) ?? find(session, directionLine))?.[1] ?? 'sendrecv') as Direction,
  };
}

function replaced({ media, lines }: Section, ports: LocalPorts, rewrite: Rewrite): string[] {
  // RFC 5761 section 5.1.1: beside rtcp-mux, an offer's a=rtcp is the port to fall back to, while an
  // answer that agrees to multiplexing has no other port than that of RTP.
  const muxed = media.rtcpMuxOnly || (media.rtcpMux && rewrite.kind === 'answer');
  const rtcpPort = muxed ? ports.rtp : ports.rtcp;
  const full = `a=rtcp:${rtcpPort} ${network(rewrite.address)}`;
  const without = rewrite.rtcpAttribute !== 'as-sent';
  const body = lines
    .filter((line) => !iceLine.test(line) && !(without && rtcpLine.test(line)))
    .map((line, index) => {
      if (index === 0) {
        return line.replace(mediaLine, `m=$1 ${ports.rtp} $3`);
      }
      if (line.startsWith('c=')) {
        return connection(line, rewrite.address);
      }
      if (rtcpLine.test(line)) {
        return line.includes(' ') ? full : `a=rtcp:${rtcpPort}`;
      }
      return line;
    });
  return rewrite.rtcpAttribute === 'full' ? [...body, full] : body;
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

function keysOf(lines: readonly string[]): MediaDescription['keys'] {
  if (lines.some((line) => fingerprintLine.test(line))) {
    return 'dtls';
  }
  return lines.some((line) => sdesLine.test(line)) ? 'sdes' : undefined;
}

function find(lines: readonly string[], pattern: RegExp): RegExpExecArray | undefined {
  for (const line of lines) {
    const match = pattern.exec(line);
    if (match) {
      return match;
    }
  }
  return undefined;
}

function has(lines: readonly string[], attribute: string): boolean {
  return lines.some((line) => line.trimEnd() === attribute);
}
