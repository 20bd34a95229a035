export class SdpError extends Error {
  override readonly name = 'SdpError';
}

export interface MediaDescription {
  /** audio, video, image, … */
  readonly type: string;
  /** 0: the media is rejected, or switched off. */
  readonly port: number;
  readonly protocol: string;
  /** Payload types, as far as they are numbers: the preferred one first; at most 64. */
  readonly formats: readonly number[];
  /** Of the preferred payload type, Hz; undefined if no a=rtpmap says it. */
  readonly clockRate: number | undefined;
  /** Those of them that are of telephone events (RFC 4733). */
  readonly events: readonly { readonly type: number; readonly clockRate: number }[];
  /** Of the media's own c= line, else of the session's. */
  readonly address: string | undefined;
  /** a=rtcp (RFC 3605), or else the next port up. */
  readonly rtcp: { readonly address: string | undefined; readonly port: number };
  readonly rtcpMux: boolean;
  /** RFC 8858: there is no RTCP port to fall back to. */
  readonly rtcpMuxOnly: boolean;
  readonly direction: 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';
  /** Keys are in the SDP (a=crypto, RFC 4568) or follow from it (a=fingerprint, RFC 8122), of the media or the session. */
  readonly keys: 'sdes' | 'dtls' | undefined;
  /** a=ice-ufrag (RFC 8839), of the media or the session. */
  readonly iceUfrag: string | undefined;
}

/** More lines than any phone sends; each one costs a little work. */
const maxLines = 4096;
const maxFormats = 64;
const maxFormatBytes = 1024;
/** RFC 3551 section 3: payload types from here on mean what the SDP says. */
const firstDynamic = 96;
export const mediaLine = /^m=(\S{1,64}) (\d{1,5})(?:\/\d{1,5})? (\S{1,64})(?= |$)/;
export const connectionLine = /^c=IN IP[46] ([^\s/]{1,255})/;
export const rtcpLine = /^a=rtcp:(\d{1,5})(?: IN IP[46] (\S{1,255}))?\s*$/;
const directionLine = /^a=(sendrecv|sendonly|recvonly|inactive)\s*$/;
/** RFC 8839: what ICE says. */
export const iceLine =
  /^a=(?:candidate|remote-candidates|end-of-candidates|ice-ufrag|ice-pwd|ice-options|ice-lite|ice-mismatch|ice-pacing)(?=:|\s|$)/;

const ufragLine = /^a=ice-ufrag:([\w+/]{1,256})\s*$/;
const rtpmapLine = /^a=rtpmap:(\d{1,3}) [^\s/]{1,64}\/(\d{1,6})/;
const eventLine = /^a=rtpmap:(\d{1,3}) telephone-event\/(\d{1,6})\s*$/i;
const sdesLine = /^a=crypto:/;
const fingerprintLine = /^a=fingerprint:/;

/** A media and its lines, from m= on. */
export interface MediaSection {
  readonly media: MediaDescription;
  readonly lines: readonly string[];
}

/**
 * A session description (RFC 8866) as lines, of which only those that concern transport are understood. A reader that builds a
 * tree loses what it does not know (session parameters of a=crypto, the order of attributes, odd codec names). Text is one
 * character a byte where it is not UTF-8.
 */
export class SessionDescription {
  /** ICE attributes (RFC 8839) are somewhere in it. */
  readonly hasIce: boolean;
  readonly media: readonly MediaDescription[];

  private constructor(
    /** The lines before the first media. */
    readonly session: readonly string[],
    readonly sections: readonly MediaSection[],
  ) {
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
    const inherited = levelOf(session);
    const sections = starts.map((start, index) => {
      const own = lines.slice(start, starts[index + 1] ?? lines.length);
      return { media: describe(own, inherited), lines: own };
    });
    return new SessionDescription(session, sections);
  }
}

/** What may be said once for the session, or of each media. */
interface Level {
  readonly address: string | undefined;
  readonly direction: MediaDescription['direction'] | undefined;
  readonly keys: MediaDescription['keys'];
  readonly iceUfrag: string | undefined;
}

function levelOf(lines: readonly string[]): Level {
  return {
    address: find(lines, connectionLine)?.[1],
    direction: find(lines, directionLine)?.[1] as Level['direction'],
    keys: keysOf(lines),
    iceUfrag: find(lines, ufragLine)?.[1],
  };
}

function describe(lines: readonly string[], session: Level): MediaDescription {
  const [, type, portText, protocol] = mediaLine.exec(lines[0] ?? '') ?? [];
  const port = Number(portText);
  if (type === undefined || protocol === undefined || port > 65_535) {
    throw new SdpError('bad m= line');
  }
  const own = levelOf(lines);
  const address = own.address ?? session.address;
  if (address === undefined && port !== 0) {
    throw new SdpError('a media without a c= line');
  }
  const rtcp = find(lines, rtcpLine);
  const formats = formatsOf(lines[0] ?? '');
  const rtcpPort = Number(rtcp?.[1] ?? port + 1);
  const rtcpMuxOnly = has(lines, 'a=rtcp-mux-only');
  return {
    type,
    port,
    protocol,
    formats,
    clockRate: clockRateOf(lines, formats[0]),
    events: eventsOf(lines, formats),
    address,
    rtcp: { address: rtcp?.[2] ?? address, port: rtcpPort > 65_535 ? 0 : rtcpPort },
    rtcpMux: rtcpMuxOnly || has(lines, 'a=rtcp-mux'),
    rtcpMuxOnly,
    keys: own.keys ?? session.keys,
    iceUfrag: own.iceUfrag ?? session.iceUfrag,
    direction: own.direction ?? session.direction ?? 'sendrecv',
  };
}

function formatsOf(line: string): number[] {
  const words = line
    .slice(0, maxFormatBytes)
    .trimEnd()
    .split(' ')
    .slice(3, 3 + maxFormats);
  return words.filter((word) => /^\d{1,3}$/.test(word)).map(Number);
}

function clockRateOf(lines: readonly string[], format: number | undefined): number | undefined {
  for (const line of lines) {
    const [, type, rate] = rtpmapLine.exec(line) ?? [];
    if (type !== undefined && Number(type) === format) {
      return Number(rate) || undefined;
    }
  }
  return undefined;
}

function eventsOf(lines: readonly string[], formats: readonly number[]): MediaDescription['events'] {
  return lines.flatMap((line) => {
    const [, type, rate] = eventLine.exec(line) ?? [];
    const event = { type: Number(type), clockRate: Number(rate) };
    return formats.includes(event.type) && event.type >= firstDynamic && event.clockRate > 0 ? [event] : [];
  });
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
