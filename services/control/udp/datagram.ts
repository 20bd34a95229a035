/**
 * One datagram of a control protocol: `cookie SP body`, for ng and rtpproxy alike. The cookie names the transaction: a copy
 * of a request has the same one, and so has the reply.
 */
export interface Datagram {
  readonly cookie: string;
  readonly body: Buffer;
}

/** What IPv4 UDP can carry: 65,535 less 20 bytes of IP and 8 of UDP header. */
export const maxDatagramBytes = 65_507;
export const maxCookieBytes = 255;
const SPACE = 0x20;

/** Undefined if the datagram does not begin with a cookie of 1 to 255 visible ASCII characters and a space. */
export function splitDatagram(datagram: Buffer): Datagram | undefined {
  const limit = Math.min(datagram.length, maxCookieBytes + 1);
  let end = 0;
  for (; end < limit; end++) {
    const byte = datagram[end] as number;
    if (byte === SPACE) {
      break;
    }
    if (byte < 0x21 || byte > 0x7e) {
      return undefined;
    }
  }
  if (end === 0 || end === limit) {
    return undefined;
  }
  return { cookie: datagram.toString('latin1', 0, end), body: datagram.subarray(end + 1) };
}

export function joinDatagram(cookie: string, body: Buffer): Buffer {
  const datagram = Buffer.allocUnsafe(cookie.length + 1 + body.length);
  datagram.write(cookie, 'latin1');
  datagram[cookie.length] = SPACE;
  body.copy(datagram, cookie.length + 1);
  return datagram;
}
