import { isIP, isIPv6 } from 'node:net';

/**
 * A session description (RFC 8866) as lines. Only the lines that name transport addresses are understood
 * and replaced; all others leave as they came. A reader that builds a tree and writes it back loses what
 * it does not know (second session parameters of a=crypto, the order of attributes, odd codec names).
 */
export class SdpError extends Error {
  override readonly name = 'SdpError';
}

export interface TransportAddress {
  readonly address: string;
  readonly port: number;
}

export type Direction = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';

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
}

/** The relay's ports that take the place of a media's own; `keep` leaves the media as it is. */
export type MediaReplacement = { readonly port: number; readonly rtcpPort: number } | 'keep';

export interface Rewrite {
  /** The relay's address, as the parties reach it. */
  readonly address: string;
  readonly kind: 'offer' | 'answer';
  readonly replaceOrigin: boolean;
  /** One for each media, in order. */
  readonly media: readonly MediaReplacement[];
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

interface Section {
  readonly media: MediaDescription;
  readonly lines: readonly string[];
}

export class SessionDescription {
  readonly media: readonly MediaDescription[];
  readonly #session: readonly string[];
  readonly #sections: readonly Section[];

  private constructor(session: readonly string[], sections: readonly Section[]) {
    this.#session = session;
    this.#sections = sections;
    this.media = sections.map((section) => section.media);
  }

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

  /** Throws if `rewrite.media` has not one entry for each media. */
  rewrite(rewrite: Rewrite): string {
    if (rewrite.media.length !== this.#sections.length) {
      throw new SdpError('one replacement for each media is needed');
    }
    const lines = this.#session
      .filter((line) => !iceLine.test(line))
      .map((line) => sessionLine(line, rewrite));
    this.#sections.forEach((section, index) => {
      const replacement = rewrite.media[index] as MediaReplacement;
      if (replacement === 'keep') {
        lines.push(...this.#kept(section));
      } else {
        lines.push(...replaced(section, replacement, rewrite));
      }
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
    direction: ((find(lines, directionLine) ?? find(session, directionLine))?.[1] ?? 'sendrecv') as Direction,
  };
}

function replaced(
  { media, lines }: Section,
  ports: { port: number; rtcpPort: number },
  rewrite: Rewrite,
): string[] {
  // RFC 5761 section 5.1.1: beside rtcp-mux, an offer's a=rtcp is the port to fall back to, while an
  // answer that agrees to multiplexing has no other port than that of RTP.
  const muxed = media.rtcpMuxOnly || (media.rtcpMux && rewrite.kind === 'answer');
  const rtcpPort = muxed ? ports.port : ports.rtcpPort;
  return lines
    .filter((line) => !iceLine.test(line))
    .map((line, index) => {
      if (index === 0) {
        return line.replace(mediaLine, `m=$1 ${ports.port} $3`);
      }
      if (line.startsWith('c=')) {
        return connection(line, rewrite.address);
      }
      if (rtcpLine.test(line)) {
        return line.includes(' ') ? `a=rtcp:${rtcpPort} ${network(rewrite.address)}` : `a=rtcp:${rtcpPort}`;
      }
      return line;
    });
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

export function isUnspecified(address: string): boolean {
  return address === '0.0.0.0' || (isIP(address) === 6 && /^[0:]+$/.test(address));
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
